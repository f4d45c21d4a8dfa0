--  groupAnswer - an owner lets in a user who has asked, or doesn't: {"action", "groupID", "uid", "accept"}

local chat, groups, membership = require "common", require "store_groups", require "membership"

local function handle (ctx, msg)
    local gid, uid = msg.groupID, msg.uid
    if not msg.accept then
        local refusal = chat.refuse_other (gid, groups.turn_down (uid, gid, ctx.uid))
        if refusal then
            return refusal
        end
        chat.tell_user (ctx, uid, {action = "groupAnswered", groupID = gid, by = ctx.uid, accept = false})
        return {groupID = gid, uid = uid, accept = false}
    end
    local event = chat.event (ctx, gid, "joined", {uid = uid})
    local ok, owns, row, list, version = groups.let_in (uid, gid, ctx.uid, event, chat.groups_most, chat.members_most)
    local refusal = chat.refuse_other (gid, ok, owns)
    if refusal then
        return refusal
    elseif row.joined == 0 then
        return row.asked and chat.refuse_join (gid, row) or chat.refuse ("not-found", uid .. " has not asked to be in the group " .. gid)
    end
    membership.tell (uid, list, version)
    chat.tell (event)
    chat.tell_user (ctx, uid, {action = "groupAnswered", groupID = gid, by = ctx.uid, accept = true})
    return {groupID = gid, uid = uid, accept = true}
end

return {action = "groupAnswer", stored = true, owner = true,
        fields = {groupID = "group", uid = "user", accept = "flag"}, handle = handle}
