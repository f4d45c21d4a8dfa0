--  groupInfo - what a group is like that the user is in: {"action", "groupID"}

local chat, files, groups = require "common", require "files", require "store_groups"

local function handle (ctx, msg)
    local ok, rows = groups.info (ctx.uid, msg.groupID)
    if not ok then
        return chat.store_failed (rows)
    end
    local row = rows[1]
    if not row then
        return chat.not_in (msg.groupID)
    end
    return {groupID = msg.groupID, name = row.name, picture = files.picture (row.picture), description = row.description,
            announcement = row.announcement, writers = chat.writers[row.writers or 0], joining = chat.joinings[row.invited or 0],
            keep = row.keep, owner = row.owner == 1, members = row.members,
            mutedTill = row.silenced > clock.now () and row.silenced or nil}
end

return {action = "groupInfo", stored = true, fields = {groupID = "group"}, handle = handle}
