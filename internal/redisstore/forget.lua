-- Drops a partition's position, so that its view is made anew.
-- KEYS[1]  the meta hash
-- ARGV     1 token, 2 generation and 3 applied expected to be stored now
-- Returns  {token, generation, start, applied, chain, digest, 1}: what is stored
--          afterwards, all but the last empty where it was dropped.
local function meta()
  return redis.call('HMGET', KEYS[1], 'token', 'generation', 'start', 'applied', 'chain', 'digest')
end
local m = meta()
if m[1] == ARGV[1] and m[2] == ARGV[2] and m[4] == ARGV[3] then
  redis.call('DEL', KEYS[1])
  m = meta()
end
m[7] = 1
return m
