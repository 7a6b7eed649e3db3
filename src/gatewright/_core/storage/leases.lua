-- Lend slots: a sorted set of holders by the time, in milliseconds, at which each lease ends.
-- KEYS: the slots. ARGV: "take", "renew" or "give", the holder, how many slots there are, the lease in milliseconds.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local action, holder, most, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local refused = unwritable()
if refused then return refused end
if action == 'take' then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
  if redis.call('ZCARD', KEYS[1]) >= most and not redis.call('ZSCORE', KEYS[1], holder) then return 0 end
end
if action == 'give' then return redis.call('ZREM', KEYS[1], holder) end
-- A lease that ran out while its holder worked on is renewed all the same: the work is there.
redis.call('ZADD', KEYS[1], now + lease, holder)
redis.call('PEXPIRE', KEYS[1], lease)
return 1
