--  conversationSet - what the user wants of a conversation: {"action", "conversation", "muted", "pinned"}
--
--  muted is how many seconds it wants no notice of it, 0 for none; or true for ever, and false. Its other devices are told.

local chat, users = require "common", require "store_users"

local FOR_EVER = 1 << 53    -- msec since 1970

local function muted_till (muted)
    if muted == true then
        return FOR_EVER
    elseif not muted or muted == 0 then
        return muted ~= nil and 0 or nil
    end
    return math.min (clock.now () + muted * 1000, FOR_EVER)
end

local function handle (ctx, msg)
    local muted = msg.muted
    if muted ~= nil and type (muted) ~= "boolean" and not (math.type (muted) == "integer" and muted >= 0) then
        return chat.refuse ("bad-request", "muted must be true, false or how many seconds")
    elseif muted == nil and msg.pinned == nil then
        return chat.refuse ("bad-request", "nothing to set: muted or pinned")
    end
    local pinned = msg.pinned
    if pinned ~= nil then
        pinned = pinned and 1 or 0
    end
    local ok, row = users.set_conversation (ctx.uid, msg.conversation, muted_till (muted), pinned)
    if not ok then
        return chat.store_failed (row)
    elseif not row then
        return chat.not_in (msg.conversation)
    end
    local now = {conversation = msg.conversation, pinned = row.pinned == 1, mutedTill = row.muted}
    downstream.talk (ctx.uid, ctx.cid, {action = "conversationChanged", conversation = now.conversation, pinned = now.pinned,
                     mutedTill = now.mutedTill})
    return now
end

return {action = "conversationSet", stored = true,
        fields = {conversation = "conversation", pinned = "flag?"}, handle = handle}
