--  media - where the file of a chat is to be had: {"action", "conversation", "seq"}
--
--  Whoever has that URL may get the file until "until", so that pictures and players work by themselves.

local chat, files, media = require "common", require "files", require "store_media"

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
    local url, till = files.url (row.hash, row.type, name_of (row.body))
    return {fileServer = config.get ("media/url"), fileUrl = url, size = row.size, type = row.type, ["until"] = till * 1000}
end

return {action = "media", stored = true, fields = {conversation = "conversation", seq = "seq"}, handle = handle}
