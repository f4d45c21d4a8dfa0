--  files.lua - where files that were sent over HTTP are to be had, and those that are pictures of users and groups
--
--  Such a picture is stored as "/media/HASH TYPE", and given out as a URL with a ticket: whoever may see the profile may see
--  the picture. Any other URL is the user's own affair.

local chat = require "common"

local TICKET = chat.limit ("media/ticket")    -- seconds
local PICTURES = {["image/png"] = true, ["image/jpeg"] = true, ["image/gif"] = true, ["image/webp"] = true, ["image/avif"] = true}

local files = {}

--  Where GET gets a file, behind the server's name, and until when, in seconds. All who ask within media/ticket seconds get the
--  same URL, and browsers keep what they have got
function files.url (hash, kind, name)
    local till = (clock.now () // (TICKET * 500) + 3) * TICKET // 2
    return ("/media/%s?ticket=%s"):format (hash, media_api.ticket {use = "get", hash = hash, type = kind, name = name, exp = till}), till
end

--  A picture that the user wants, as it is to be stored; nil for none. Or nil, and the refusal
function files.picture_of (uid, picture)
    if not picture or not picture:find ("^/media/") then
        return picture
    end
    local hash, refusal, kind = chat.file_of (uid, picture)
    if not hash then
        return nil, refusal or chat.refuse ("bad-request", "picture must be a URL, or the fileUrl that uploaded has answered")
    elseif not PICTURES[kind] then
        return nil, chat.refuse ("bad-request", ("a picture is a PNG, JPEG, GIF, WebP or AVIF; %s is %s"):format (picture, kind))
    end
    return ("/media/%s %s"):format (hash, kind)
end

--  The hash and the type of a stored picture; nil when it is none of ours
local function parts_of (stored)
    local hash, kind = (stored or ""):match ("^/media/(%x+) (.+)$")
    if PICTURES[kind] then
        return hash, kind
    end
end

--  A stored picture as clients get it; nil for none
function files.picture (stored)
    local hash, kind = parts_of (stored)
    if not hash then
        return stored
    end
    return media_api.enabled and config.get ("media/url") .. files.url (hash, kind) or nil
end

--  A stored picture as its user has named it; nil for none
function files.picture_name (stored)
    local hash = parts_of (stored)
    return hash and "/media/" .. hash or stored
end

return files
