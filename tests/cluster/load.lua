-- Buyers nobody has seen before, each with a key. Arguments: the event, and a word of this run's own.
local threads = 0

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

function init(arguments)
    path = "/events/" .. arguments[1] .. "/register"
    prefix = arguments[2] .. "-" .. number .. "-"
    count = 0
    headers = { ["X-Role"] = "user", ["Content-Type"] = "application/json" }
end

function request()
    count = count + 1
    local name = prefix .. count
    headers["Idempotency-Key"] = name
    return wrk.format("POST", path, headers, '{"email":"' .. name .. '@example.com"}')
end
