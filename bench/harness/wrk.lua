-- Ends a wrk run with one line of JSON. With BENCH_REQUESTS set to a file of "METHOD HOST PATH"
-- lines, cycles through those requests; with BENCH_BODY set to a file, posts its content as JSON;
-- otherwise wrk sends its own fixed request, at no cost.

local body = os.getenv("BENCH_BODY")
if body then
   wrk.method = "POST"
   wrk.body = io.open(body, "rb"):read("*a")
   wrk.headers["Content-Type"] = "application/json"
end

local list = os.getenv("BENCH_REQUESTS")
if list then
   local requests = {}
   for line in io.lines(list) do
      local method, host, path = line:match("^(%S+) (%S+) (%S+)$")
      requests[#requests + 1] = wrk.format(method, path, { Host = host })
   end
   local next = 0
   function request()
      next = next % #requests + 1
      return requests[next]
   end
end

-- `refused` are answers of 400 and over; `errors` connections that broke or timed out.
function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '{"requests":%d,"seconds":%.6f,"p50_us":%d,"p99_us":%d,"refused":%d,"errors":%d}\n',
      summary.requests, summary.duration / 1e6,
      latency:percentile(50), latency:percentile(99),
      errors.status,
      errors.connect + errors.read + errors.write + errors.timeout))
end
