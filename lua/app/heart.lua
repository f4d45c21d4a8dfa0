--  heart - is anybody there: {"action"}

local function handle ()
    return {at = clock.now ()}
end

return {action = "heart", public = true, handle = handle}
