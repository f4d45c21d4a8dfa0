--  typing - the user writes something in a conversation, which the others in it are told: {"action", "conversation"}
--
--  It is stored nowhere, answered by nothing, and the first thing to be left out when there is no room. In groups of more
--  than 200 nobody is told.

local chat, users = require "common", require "store_users"

local function handle (ctx, msg)
    local conversation, other = msg.conversation, chat.other (ctx.uid, msg.conversation)
    local few = true
    local note = {action = "typing", conversation = conversation, uid = ctx.uid}
    if chat.stored then
        local ok, rows = users.may_tell (ctx.uid, conversation, other, clock.now ())
        if not ok or not rows[1] then
            return ok and chat.not_in (conversation) or chat.store_failed (rows)
        end
        few = rows[1].small == 1
    elseif not other and not chat.joined (ctx, conversation) then
        return chat.not_in (conversation)
    end
    if other then
        hint.uid (other, note)
    elseif few then
        hint.gid (conversation, note)
    end
end

return {action = "typing", fields = {conversation = "conversation"}, handle = handle}
