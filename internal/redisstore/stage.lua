-- Puts values into the buckets of a generation that is nobody's yet.
-- KEYS     the buckets that change; at the beginning all of them
-- ARGV     1 the generation, 2 its life in seconds unless it is adopted, 3: 1 at
--          the beginning; then for each bucket: the number n of arguments that
--          follow, and n arguments (participant, state, participant, state, ...)
-- Returns  1, or 0 where a bucket has ended since the beginning: the rest of
--          the values would then make a state that lacks some
if ARGV[3] ~= '1' then
  for i = 1, #KEYS do
    if not redis.call('HGET', KEYS[i], '') then return 0 end
  end
end
local at = 4
for i = 1, #KEYS do
  if ARGV[3] == '1' then redis.call('HSET', KEYS[i], '', ARGV[1]) end
  local stop = at + 1 + tonumber(ARGV[at])
  at = at + 1
  while at < stop do
    local last = math.min(at + 3999, stop - 1) -- unpack takes about 7,000
    redis.call('HSET', KEYS[i], unpack(ARGV, at, last))
    at = last + 1
  end
  redis.call('EXPIRE', KEYS[i], ARGV[2])
end
return 1
