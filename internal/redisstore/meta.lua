-- Reads a partition's position, and whether its generation is whole.
-- KEYS[1]  the meta hash; then all buckets and all leaderboards of the generation
-- ARGV     1 the number of buckets
-- Returns  {token, generation, start, applied, chain, digest, intact}: intact is 0
--          where a bucket or a leaderboard has lost its sentinel.
local m = redis.call('HMGET', KEYS[1], 'token', 'generation', 'start', 'applied', 'chain', 'digest')
local boards = 2 + tonumber(ARGV[1])
m[7] = 1
for i = 2, #KEYS do
  if not redis.call(i < boards and 'HGET' or 'ZSCORE', KEYS[i], '') then m[7] = 0 end
end
return m
