-- Sends the calls of a plan file in order, again and again, and reports one line of JSON.
-- Each line of the plan file has the path, the secret and the body of one call.

local calls = {}
local at = 0

local function headers(secret)
  return { ["Content-Type"] = "application/json", ["X-Api-Key"] = secret }
end

function init(args)
  local first
  for line in io.lines(args[1]) do
    local path, secret, body = line:match("^([^\t]*)\t([^\t]*)\t(.*)$")
    first = first or { path = path, secret = secret, body = body }
    calls[#calls + 1] = wrk.format("POST", path, headers(secret), body)
  end
  if #calls == 1 then -- without a request function, wrk builds the request once, which costs least
    wrk.method, wrk.path, wrk.body = "POST", first.path, first.body
    for name, value in pairs(headers(first.secret)) do wrk.headers[name] = value end
  else
    request = function()
      at = at % #calls + 1
      return calls[at]
    end
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"durationUs":%d,"p50Us":%d,"p99Us":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d,"refused":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.timeout, errors.status
  ))
end
