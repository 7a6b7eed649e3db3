-- In front of every script: return the error of a server that can write nothing, since it is full or a replica.
-- What only reads would work there, and say that all is well. This writes nothing, whatever there is under the key.
local function unwritable()
  local tried = redis.pcall('SETRANGE', KEYS[1], 0, '')
  return type(tried) == 'table' and not string.find(tried.err, 'WRONGTYPE', 1, true) and tried
end
