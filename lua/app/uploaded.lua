--  uploaded - a file that was sent over HTTP is its sender's now: {"action", "receipt"}
--
--  The answer's fileUrl is what a chat names it by, in content.fileUrl.

local chat, media = require "common", require "store_media"

local function handle (ctx, msg)
    local id, hash, size, kind = media_api.receipt (msg.receipt)
    if not id then
        return chat.refuse ("bad-request", "receipt isn't one: " .. hash)
    end
    local ok, mine = media.kept (id, ctx.uid, hash, kind, clock.now ())
    if not ok then
        return chat.store_failed (mine)
    elseif not mine then
        return chat.refuse ("not-found", "you were not to send that file, or it took more than a day")
    end
    local good, here = media_api.has (hash)    -- The sweeper may have met it when it was an old one
    if not good then
        return chat.store_failed (here)
    elseif not here then
        log.warn ("media: the file of a receipt isn't here; gateway and app server must have the same media/folder, or media/s3")
        return chat.refuse ("not-found", "the file isn't here any more: send it again")
    end
    return {fileServer = config.get ("media/url"), fileUrl = "/media/" .. hash, size = size, type = kind}
end

return {action = "uploaded", stored = true, fields = {receipt = "text"}, handle = handle}
