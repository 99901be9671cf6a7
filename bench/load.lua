-- wrk: POST events of Whisperr's dialect, each with a message id of its own. `SIZE` events a request.
local size = tonumber(os.getenv("SIZE"))
local run = os.getenv("RUN")
local event = '{"external_user_id":"user_@USER@","event_type":"feature_used","properties":{"feature":"exports","plan":"pro","duration_ms":1234},"context":{"$message_id":"@ID@","sdk_name":"bench"}}'
local count = 0
local thread_number = 0

function setup(thread)
  thread_number = thread_number + 1
  thread:set("number", thread_number)
end

wrk.method = "POST"
wrk.path = size == 1 and "/v1/events/track" or "/v1/events/batch"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-API-Key"] = os.getenv("KEY")

-- The body is made once; only the ids in it change, so that making requests costs little.
local pieces = {}
for i = 1, size do
  local text = event:gsub("@USER@", tostring((i * 7919) % 5000))
  local at = text:find("@ID@", 1, true)
  pieces[#pieces + 1] = (i > 1 and "," or "") .. text:sub(1, at - 1)
  pieces[#pieces + 1] = ""
  pieces[#pieces + 1] = text:sub(at + 4)
end

function request()
  count = count + 1
  local prefix = run .. "-" .. number .. "-" .. count .. "-"
  for i = 1, size do pieces[3 * i - 1] = prefix .. i end
  local body = table.concat(pieces)
  if size > 1 then body = '{"events":[' .. body .. ']}' end
  return wrk.format(nil, nil, nil, body)
end

function done(summary, latency)
  io.write(string.format('{"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end
