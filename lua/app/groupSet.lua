--  groupSet - an owner says what the group is like: {"action", "groupID"} and what shall change: "name", "picture",
--  "description", "announcement", "writers" (all, owners), "joining" (open, invitation, request), "keep" (days)

local chat, files, groups = require "common", require "files", require "store_groups"

local FIELDS = {"name", "picture", "description", "announcement", "writers", "joining", "keep"}

local function handle (ctx, msg)
    local changed = {}
    for _, field in ipairs (FIELDS) do
        changed[field] = msg[field]
    end
    if not next (changed) then
        return chat.refuse ("bad-request", "nothing to set: one of " .. table.concat (FIELDS, ", "))
    end
    local picture, why = files.picture_of (ctx.uid, msg.picture)
    if why then
        return why
    end
    local event = chat.event (ctx, msg.groupID, "set", {set = changed})
    local set = {name = msg.name, picture = picture, description = msg.description, announcement = msg.announcement,
                 writers = msg.writers and (msg.writers == "owners" and 1 or 0), invited = chat.joinings[msg.joining or ""],
                 keep = msg.keep and math.min (msg.keep, 36500)}
    local refusal = chat.refuse_other (msg.groupID, groups.set (msg.groupID, ctx.uid, event, set))
    return chat.told (event, refusal, {groupID = msg.groupID})
end

return {action = "groupSet", stored = true, owner = true,
        fields = {groupID = "group", name = "name?", picture = "url?", description = "text?",
                  announcement = "text?", writers = "writers?", joining = "joining?", keep = "count?"},
        handle = handle}
