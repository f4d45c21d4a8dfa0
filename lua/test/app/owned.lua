--  A request that the owner of its name handles, or refuses

local function owned (msg)
    return msg.name
end

return {action = "owned", pipelined = true, owned = owned, handle = function () return {code = "not-member"} end}
