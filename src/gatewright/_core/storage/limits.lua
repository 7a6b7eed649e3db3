-- Decide about any number of limits at once, by the server's clock.
-- KEYS: one for each bucket.
-- ARGV: "hit", "look", "adjust" or "forget", then one for each key, with spaces between: strategy, amount, window in
-- microseconds, burst, whether it is a shadow, whether refused calls pay, the cost (or the change), and the mark (for
-- "adjust").
-- Returns four numbers for each key, with spaces between: whether it is allowed, what remains, microseconds until it is
-- full or would be allowed, and the mark.
--
-- One text is read and written faster than many, by the client too. A server makes these functions anew for each call,
-- so there are few, and each knows all three strategies.
local SETTINGS = '^(%a+) (%d+) (%d+) (%d+) (%d) (%d) (%-?%d+) (%d*)$'
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local action = ARGV[1]
local wrote = false

local function between(least, value, most) return math.max(least, math.min(most, value)) end

-- Note what has not refilled of an allowance. It is counted in 1/amount of a microsecond: so each call takes exactly a
-- window, and fractions, which would add up, do not occur.
local function owe(b, owed)
  b.owed = between(0, owed, b.burst * b.window)
  b.mark = now + math.ceil(b.owed / b.amount)
end

-- What is stored: for a fixed window when it began and what was spent; for a sliding one when it ends, what was spent
-- in it and in the one before; for an allowance when it was written and what it owed then. Times that are still to
-- come were written by a server whose clock is ahead.
local function read(b, text)
  local first, second, third = string.match(text or '', '^(%d+) ?(%d*) ?(%d*)$')
  first, second, third = tonumber(first), tonumber(second) or 0, tonumber(third) or 0
  if b.strategy == 'fixed' then
    b.mark = first or now
    if b.mark <= now and now - b.mark < b.window then b.used = second else b.mark = now end
  elseif b.strategy == 'sliding' then
    b.mark = (math.floor(now / b.window) + 1) * b.window
    if first == b.mark then b.used, b.before = second, third
    elseif first == b.mark - b.window then b.before = second end
  else
    owe(b, second - math.max(0, now - (first or now)) * b.amount)
  end
end

local function left(b)
  if b.strategy == 'fixed' then return b.amount - b.used end
  if b.strategy == 'sliding' then return b.amount - b.used - math.ceil(b.before * (b.mark - now) / b.window) end
  return math.floor(b.burst - b.owed / b.window)
end

-- The microseconds until the cost would pass or, where it does, until the bucket is full.
local function wait(b)
  local rest = b.mark - now
  if b.strategy == 'fixed' then return (b.used > 0 or not b.allowed) and rest + b.window or 0 end
  if b.strategy == 'gcra' then
    return b.allowed and rest or math.ceil((b.owed + (b.cost - b.burst) * b.window) / b.amount)
  end
  if b.allowed then return b.used > 0 and rest + b.window or b.before > 0 and rest or 0 end
  local room = b.amount - b.cost
  if b.used <= room then return rest - math.floor((room - b.used) * b.window / b.before) end
  return rest + b.window - math.floor(room * b.window / b.used)
end

local function put(b, value, microseconds)
  redis.call('SET', b.key, value, 'PX', math.ceil(microseconds / 1000) + 1)
  wrote = true
end

local function spend(b, by, mark)
  if b.strategy == 'gcra' then
    local change = by * b.window
    -- What has refilled since cannot be given back once more.
    if mark then change = math.max(change, math.min(0, (now - mark) * b.amount)) end
    owe(b, b.owed + change)
    return put(b, string.format('%.0f %.0f', now, b.owed), b.mark - now)
  end
  if b.strategy == 'sliding' and mark == b.mark - b.window then
    b.before = between(0, b.before + by, b.amount)
  -- A fixed window that nothing was spent in has not begun.
  elseif not mark or (mark == b.mark and (b.used > 0 or b.strategy == 'sliding')) then
    b.used = between(0, b.used + by, b.amount)
  else
    return
  end
  local rest = b.mark + b.window - now
  if b.strategy == 'sliding' then return put(b, string.format('%.0f %.0f %.0f', b.mark, b.used, b.before), rest) end
  if b.used > 0 then return put(b, string.format('%.0f %.0f', b.mark, b.used), rest) end
  redis.call('DEL', b.key)
end

-- Asked before anything is written: a server that is full lets a script go on that has begun to. A hit is not asked
-- for what it finds out as it writes.
local full = action ~= 'hit' and unwritable()
if full then return full end
if action == 'forget' then redis.call('DEL', unpack(KEYS)) end
local stored = redis.call('MGET', unpack(KEYS))
local buckets = {}
local refused = false
for i, key in ipairs(KEYS) do
  local strategy, amount, window, burst, shadow, penal, cost, given = string.match(ARGV[i + 1], SETTINGS)
  local b = {
    key = key, strategy = strategy, amount = tonumber(amount), window = tonumber(window), burst = tonumber(burst),
    shadow = shadow == '1', penal = penal == '1', cost = tonumber(cost), given = tonumber(given),
    mark = 0, used = 0, before = 0, owed = 0, allowed = false,
  }
  read(b, stored[i])
  -- A change is made whatever is left.
  b.allowed = action == 'adjust' or b.cost <= left(b)
  refused = refused or not (b.allowed or b.shadow)
  buckets[i] = b
end

local answer = {}
for i, b in ipairs(buckets) do
  if action == 'adjust' then
    spend(b, b.cost, b.given)
  elseif action == 'hit' and ((b.allowed and not refused) or (b.penal and refused)) then
    spend(b, b.cost)
  end
  local allowed = b.allowed and 1 or 0
  answer[i] = string.format('%d %.0f %.0f %.0f', allowed, math.max(0, left(b)), math.max(0, wait(b)), b.mark)
end
return action == 'hit' and not wrote and unwritable() or table.concat(answer, ' ')
