-- Begins a new generation of a partition's state, without participants.
-- KEYS[1]  the meta hash; KEYS[2..] all buckets of the new generation
-- ARGV     1 token, 2 generation and 3 applied expected to be stored now, each
--          empty where no meta exists; 4 token, 5 generation, 6 start to store
-- Returns  {token, generation, start, applied, chain, digest, 1}: what is stored
--          afterwards; the expected meta was there only if it is the new one.
local function meta()
  return redis.call('HMGET', KEYS[1], 'token', 'generation', 'start', 'applied', 'chain', 'digest')
end
local m = meta()
if (m[1] or '') == ARGV[1] and (m[2] or '') == ARGV[2] and (m[4] or '') == ARGV[3] then
  for i = 2, #KEYS do
    redis.call('HSET', KEYS[i], '', ARGV[5])
  end
  redis.call('HSET', KEYS[1], 'token', ARGV[4], 'generation', ARGV[5], 'start', ARGV[6],
    'chain', '0', 'digest', '0', 'applied', ARGV[6])
  m = meta()
end
m[7] = 1
return m
