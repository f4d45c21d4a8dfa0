--  upload - leave to send a file over HTTP: {"action", "size"}
--
--  The answer says where to: POST the bytes to fileServer .. fileUrl, with &offset=N from the second piece on; whoever is cut off
--  asks there, with a body of none, where to go on. What the last answer has as receipt goes into "uploaded".

local chat, media = require "common", require "store_media"

local MOST, QUOTA, DAY = chat.limit ("chat/media"), chat.limit ("chat/quota"), 86400

local function handle (ctx, msg)
    if not media_api.enabled then
        return chat.refuse ("not-stored", "this server keeps no files: media/folder is empty")
    elseif msg.size > MOST then
        return chat.refuse ("too-large", "a file may have " .. MOST .. " bytes")
    end
    local id, now = media_api.fresh_id (), clock.now ()
    local ok, may = media.add (id, ctx.uid, msg.size, now, QUOTA)
    if not ok then
        return chat.store_failed (may)
    elseif not may then
        return chat.refuse ("too-many", "your files may have " .. QUOTA .. " bytes together; those that no chat names, and that are no picture, go after a day")
    end
    local ticket = media_api.ticket {use = "put", id = id, size = msg.size, exp = now // 1000 + DAY}
    return {fileServer = config.get ("media/url"), fileUrl = "/media?ticket=" .. ticket}
end

return {action = "upload", stored = true, fields = {size = "count"}, handle = handle}
