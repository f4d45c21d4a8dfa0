--  audit - writes what users do into a table of MySQL, and lists it
--
--      script/server --full -s lua/app=lua/app,lua/examples
--      echo '{"action":"audit","event":"door opened"}' | build/rookery chat --as ann
--
--  Parameters travel beside the SQL, so no text of a client can become SQL. The table is made by the
--  first message; writers that wait at the same moment share a commit.

local pool, ready = "main", false

local function make_table ()
    local ok, reason = mysql_api.cmd (pool, "query", [[
        CREATE TABLE IF NOT EXISTS example_audit (
            id BIGINT PRIMARY KEY AUTO_INCREMENT,
            at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
            uid VARCHAR(128) NOT NULL,
            event VARCHAR(1000) NOT NULL)]])
    ready = ok
    return ok, reason
end

local function handle (ctx, msg)
    if type (msg.event) ~= "string" or #msg.event > 1000 then
        return {code = "bad-request", message = "event must be a string of up to 1000 bytes"}
    end
    local ok, results = ready or make_table ()
    if ok then
        ok, results = mysql_api.transaction (pool, {
            {"INSERT INTO example_audit (uid, event) VALUES (?, ?)", ctx.uid, msg.event},
            {"SELECT id, at, event FROM example_audit WHERE uid = ? ORDER BY id DESC LIMIT 5", ctx.uid}})
    end
    if not ok then
        log.warn ("audit: %s", results)
        return {code = "audit-unavailable", message = "the audit log can't be written now"}
    end
    return {id = results[1].last_insert_id, last = results[2].rows}
end

return {action = "audit", handle = handle}
