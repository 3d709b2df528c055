-- What wrk sends for the cases with a body: JSON of as many bytes as JSON_BYTES says.
local frame = '{"text":""}'
local bytes = tonumber(os.getenv("JSON_BYTES"))
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"text":"' .. string.rep("x", bytes - #frame) .. '"}'
