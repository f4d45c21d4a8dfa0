--  media - where the file of a chat is to be had: {"action", "conversation", "seq"}
--
--  Whoever has that URL may get the file until "until", so that pictures and players work by themselves. All who ask within
--  media/ticket seconds get the same one, and browsers keep what they have got.

local chat, media = require "common", require "store_media"

local TICKET = chat.limit ("media/ticket")    -- seconds

local function name_of (body)
    local msg = json.decode (body, true)
    local content = type (msg) == "table" and msg.content
    local name = type (content) == "table" and content.fileName
    return type (name) == "string" and #name < 300 and not name:find ("[%c\\]") and name or nil
end

local function handle (ctx, msg)
    local ok, rows = media.of (ctx.uid, msg.conversation, msg.seq)
    local row = ok and rows[1]
    if not ok then
        return chat.store_failed (rows)
    elseif not row then
        return chat.refuse ("not-found", ("there is no chat %d with a file for you in %s"):format (msg.seq, msg.conversation))
    end
    local till = (clock.now () // (TICKET * 500) + 3) * TICKET // 2
    local ticket = media_api.ticket {use = "get", hash = row.hash, type = row.type, name = name_of (row.body), exp = till}
    return {fileServer = config.get ("media/url"), fileUrl = ("/media/%s?ticket=%s"):format (row.hash, ticket),
            size = row.size, type = row.type, ["until"] = till * 1000}
end

return {action = "media", stored = true, fields = {conversation = "conversation", seq = "seq"}, handle = handle}
