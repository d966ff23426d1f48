-- Begins a new generation of a partition's state: an empty one, or one that
-- was staged.
-- KEYS[1]  the meta hash; then all buckets of the new generation, and all its
--          leaderboards
-- ARGV     1 token, 2 generation and 3 applied expected to be stored now, each
--          empty where no meta exists; 4 token, 5 generation, 6 start, 7 applied,
--          8 chain, 9 digest to store; 10: 1 where the generation was staged;
--          11 the number of buckets
-- Returns  {token, generation, start, applied, chain, digest, 1}: what is stored
--          afterwards; the expected meta was there only if it is the new one.
-- A staged generation is adopted whole or not at all: each of its keys has its
-- sentinel from the first value on, and a life that ends here.
local function meta()
  return redis.call('HMGET', KEYS[1], 'token', 'generation', 'start', 'applied', 'chain', 'digest')
end
local m = meta()
local boards = 2 + tonumber(ARGV[11])
local ready = (m[1] or '') == ARGV[1] and (m[2] or '') == ARGV[2] and (m[4] or '') == ARGV[3]
for i = 2, #KEYS do
  if ARGV[10] == '1' and not redis.call(i < boards and 'HGET' or 'ZSCORE', KEYS[i], '') then ready = false end
end
if ready then
  for i = 2, #KEYS do
    if i < boards then
      redis.call('HSET', KEYS[i], '', ARGV[5])
    else
      redis.call('ZADD', KEYS[i], 'inf', '')
    end
    redis.call('PERSIST', KEYS[i])
  end
  redis.call('HSET', KEYS[1], 'token', ARGV[4], 'generation', ARGV[5], 'start', ARGV[6],
    'chain', ARGV[8], 'digest', ARGV[9], 'applied', ARGV[7])
  m = meta()
end
m[7] = 1
return m
