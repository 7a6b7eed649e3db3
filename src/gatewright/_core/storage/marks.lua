-- Remember numbers about one subject. KEYS: what is asked or told. ARGV: "read"; or "raise", number, milliseconds.
if ARGV[1] == 'read' then return redis.call('MGET', unpack(KEYS)) end
local refused = unwritable()
if refused then return refused end
local key, number, ends = KEYS[1], ARGV[2], tonumber(ARGV[3])
local before = tonumber(redis.call('GET', key) or nil)
if before and before > tonumber(number) then number = string.format('%.17g', before) end
redis.call('SET', key, number, 'PX', math.max(ends, redis.call('PTTL', key)))
return 1
