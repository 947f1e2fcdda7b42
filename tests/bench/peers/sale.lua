-- One sale in Redis: KEYS are the event, its addresses and the keys honoured; ARGV are the buyer's
-- address, the idempotency key and the new ticket's id.
local first = redis.call('HGET', KEYS[3], ARGV[2])
if first then return first end
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return 'already_registered' end
if tonumber(redis.call('HGET', KEYS[1], 'available')) < 1 then return 'sold_out' end
redis.call('HINCRBY', KEYS[1], 'available', -1)
redis.call('HSET', 'ticket:' .. ARGV[3], 'event', KEYS[1], 'email', ARGV[1], 'status', 'reserved')
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('HSET', KEYS[3], ARGV[2], ARGV[3])
return ARGV[3]
