--  Asks the store, once or again, and answers with its rows; pipelined, as the chat's handlers are

local function handle (ctx, msg)
    local ok, rows = sql.run ("SELECT ?", msg.value)
    if msg.again then
        ok, rows = sql.run ("SELECT ?", msg.value)
    end
    return {code = ok and "ok" or "failed", rows = rows, value = msg.value}
end

return {action = "ask", public = true, pipelined = true, handle = handle}
