-- Moves a partition's view from one position to the next, all or nothing.
-- KEYS[1]  the meta hash; then the buckets that change, and all leaderboards
--          where a bucket changes
-- ARGV     1 token, 2 generation, 3 from, 4 to, 5 chain, 6 digest, 7 the number
--          of buckets; then for each bucket: the number n of arguments that
--          follow, and n arguments (participant, state, participant, state, ...);
--          then for each leaderboard: n and n arguments (score, participant,
--          ...), n and n participants that are not on it
-- Returns  {token, generation, start, applied, chain, digest, intact}: what is
--          stored afterwards, moved or not; intact is 0 where a bucket to be
--          changed or a leaderboard has lost its sentinel, and then nothing is
--          written.
-- Everything is checked before the first write, and the position is written
-- last: out of memory, a script fails at its first write or not at all.
local function meta()
  return redis.call('HMGET', KEYS[1], 'token', 'generation', 'start', 'applied', 'chain', 'digest')
end
local m = meta()
local intact = 1
local boards = 2 + tonumber(ARGV[7])
for i = 2, #KEYS do
  if not redis.call(i < boards and 'HGET' or 'ZSCORE', KEYS[i], '') then intact = 0 end
end
if m[1] == ARGV[1] and m[2] == ARGV[2] and m[4] == ARGV[3] and intact == 1 then
  local at = 8
  local function all(command, key)
    local stop = at + tonumber(ARGV[at])
    if stop > at then -- unpack takes about 7,000, which is more than a script is used for
      redis.call(command, key, unpack(ARGV, at + 1, stop))
    end
    at = stop + 1
  end
  for i = 2, #KEYS do
    if i < boards then
      all('HSET', KEYS[i])
    else
      all('ZADD', KEYS[i])
      all('ZREM', KEYS[i])
    end
  end
  redis.call('HSET', KEYS[1], 'chain', ARGV[5], 'digest', ARGV[6], 'applied', ARGV[4])
  m = meta()
end
m[7] = intact
return m
