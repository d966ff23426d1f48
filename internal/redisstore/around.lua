-- Finds a place on a leaderboard, and who is next to it.
-- KEYS[1]  the leaderboard: the first participant has the lowest score, among
--          equals the lowest name
-- ARGV     1 score and 2 participant, which need not be on it; 3 how many to
--          return on each side
-- Returns  {all, before, lower, up, down}, or nothing where the sentinel is gone:
--          how many are on it, how many stand before the place, how many of them
--          have a lower score, and participant, score, participant, score, ... of
--          those right before it and of those from it on, each in the
--          leaderboard's order; the sentinel, with an empty name, is the last
if not redis.call('ZSCORE', KEYS[1], '') then return nil end
local score, name, near = ARGV[1], ARGV[2], tonumber(ARGV[3])
-- Names are ordered by their bytes, as the set orders them. Lua's own operator
-- follows the server's locale.
local function less(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return #a < #b
end
local lower = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. score)
-- Among those of equal score by halves: a set is searched by score or by rank,
-- and never by score and name.
local from, to = lower, redis.call('ZCOUNT', KEYS[1], '-inf', score)
while from < to do
  local middle = math.floor((from + to) / 2)
  if less(redis.call('ZRANGE', KEYS[1], middle, middle)[1], name) then from = middle + 1 else to = middle end
end
local function range(first, last)
  if last < first then return {} end
  return redis.call('ZRANGE', KEYS[1], first, last, 'WITHSCORES')
end
return {redis.call('ZCARD', KEYS[1]) - 1, from, lower, range(math.max(0, from - near), from - 1), range(from, from + near)}
