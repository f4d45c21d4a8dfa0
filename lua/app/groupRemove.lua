--  groupRemove - an owner ends a user's membership or invitation: {"action", "groupID", "uid"}

local chat = require "common"

local function handle (ctx, msg)
    return chat.remove (ctx, msg, "removed", false)
end

return {action = "groupRemove", stored = true, owner = true,
        fields = {groupID = "group", uid = "user"}, owned = chat.group_of, handle = handle}
