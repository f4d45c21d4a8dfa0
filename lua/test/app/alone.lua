--  What ask does, without being pipelined

return {action = "alone", public = true, handle = require ("ask").handle}
