-- Requests from a file of bodies, in an order of each thread's own; at the end one line of JSON. A line may have a path
-- of its own in front of the body, and a tab between them; a path alone is asked with GET.
local bodies, counter, threads = {}, 0, {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init(args)
  for line in io.lines(args[1]) do table.insert(bodies, line) end
  math.randomseed(tonumber(args[4] or 11) + number)
  for i = #bodies, 2, -1 do
    local j = math.random(i)
    bodies[i], bodies[j] = bodies[j], bodies[i]
  end
  wrk.method, wrk.path = "POST", args[2]
  wrk.headers["Content-Type"] = "application/json"
  if args[3] then wrk.headers["X-API-Key"] = args[3] end
  prepared = {}
  for i, line in ipairs(bodies) do
    local path, body = line:match("^(/[^\t]*)\t?(.*)$")
    if path and body == "" then
      prepared[i] = wrk.format("GET", path)
    else
      prepared[i] = wrk.format(nil, path, nil, body or line)
    end
  end
end

function request()
  counter = counter + 1
  return prepared[(counter - 1) % #prepared + 1]
end

function done(summary, latency)
  local e = summary.errors
  print(string.format('RESULT {"requests": %d, "seconds": %.6f, "failed": %d, "p50": %.6f, "p95": %.6f, "p99": %.6f}',
    summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1e6, latency:percentile(95) / 1e6, latency:percentile(99) / 1e6))
end
