--  groupRemove - an owner ends a user's membership or invitation: {"action", "groupID", "uid"}

local chat, groups = require "common", require "store_groups"

local function handle (ctx, msg)
    return chat.remove (ctx, msg, groups.remove, "removed", false)
end

return {action = "groupRemove", stored = true, owner = true,
        fields = {groupID = "group", uid = "user"}, handle = handle}
