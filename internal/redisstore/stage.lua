-- Puts values into the buckets of a generation that is nobody's yet, and their
-- scores onto its leaderboards.
-- KEYS     the buckets that change, at the beginning all of them; then all
--          leaderboards
-- ARGV     1 the generation, 2 its life in seconds unless it is adopted, 3: 1 at
--          the beginning, 4 the number of buckets; then for each bucket: the
--          number n of arguments that follow, and n arguments (participant, state,
--          participant, state, ...); then for each leaderboard: n and n arguments
--          (score, participant, ...), n and n participants that are not on it
-- Returns  1, or 0 where one of the keys has ended since the beginning: the rest
--          of the values would then make a state that lacks some
local boards = 1 + tonumber(ARGV[4])
if ARGV[3] ~= '1' then
  for i = 1, #KEYS do
    if not redis.call(i < boards and 'HGET' or 'ZSCORE', KEYS[i], '') then return 0 end
  end
end
local at = 5
local function all(command, key)
  local stop = at + 1 + tonumber(ARGV[at])
  at = at + 1
  while at < stop do
    local last = math.min(at + 3999, stop - 1) -- unpack takes about 7,000
    redis.call(command, key, unpack(ARGV, at, last))
    at = last + 1
  end
end
for i = 1, #KEYS do
  if i < boards then
    if ARGV[3] == '1' then redis.call('HSET', KEYS[i], '', ARGV[1]) end
    all('HSET', KEYS[i])
  else
    if ARGV[3] == '1' then redis.call('ZADD', KEYS[i], 'inf', '') end
    all('ZADD', KEYS[i])
    all('ZREM', KEYS[i])
  end
  redis.call('EXPIRE', KEYS[i], ARGV[2])
end
return 1
