-- Remember what was done under a key: a hash of the fingerprint, the token of who works on it, and what was kept.
-- KEYS: the key. ARGV: "claim", fingerprint, token, milliseconds; or "keep", token, value, milliseconds;
-- or "release", token.
local key, action = KEYS[1], ARGV[1]
local refused = unwritable()
if refused then return refused end
if action == 'claim' then
  local found = redis.call('HMGET', key, 'fingerprint', 'value')
  if found[2] then return {'kept', found[1], found[2]} end
  if found[1] then return {'pending', found[1], redis.call('PTTL', key)} end
  redis.call('HSET', key, 'fingerprint', ARGV[2], 'token', ARGV[3])
  redis.call('PEXPIRE', key, ARGV[4])
  return {'claimed'}
end
if redis.call('HGET', key, 'token') ~= ARGV[2] then return 0 end
if action == 'keep' then
  redis.call('HSET', key, 'value', ARGV[3])
  redis.call('PEXPIRE', key, ARGV[4])
  return 1
end
if redis.call('HEXISTS', key, 'value') == 0 then redis.call('DEL', key) end
return 1
