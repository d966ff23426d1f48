-- Appends one revision of a notification to a participant's inbox, once.
--
-- KEYS     meta, log, body, seen, revs (see inboxKeys)
-- ARGV[1]  notification ID
-- ARGV[2]  revision
-- ARGV[3]  '1' for a retraction
-- ARGV[4]  arrival, ms
-- ARGV[5]  the entry as JSON, without its offset
-- ARGV[6]  entries kept at most
-- ARGV[7]  ms that an entry is kept
-- ARGV[8]  the epoch, should the inbox begin with this call
-- ARGV[9]  the channel to wake, ARGV[10] the participant
--
-- Returns  {outcome, offset}: appended | deduped | too-old | tombstoned | nothing;
--          offset is the entry's, or 0
local meta, log, body, seen, revs = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, rev, retract, arrival = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4])
local max, keep = tonumber(ARGV[6]), tonumber(ARGV[7])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local function num(n) return string.format('%.0f', n) end

local m = redis.call('HMGET', meta, 'epoch', 'next', 'gone', 'floor')
if not m[1] then
  -- A new life: leftovers of an old one must not be mixed into it.
  redis.call('DEL', log, body, seen, revs)
  redis.call('HSET', meta, 'epoch', ARGV[8], 'next', '0', 'acked', '0', 'gone', '0', 'floor', '0')
  m = {ARGV[8], '0', '0', '0'}
end
local last, gone, floor = tonumber(m[2]), tonumber(m[3]), tonumber(m[4])

local known = redis.call('HGET', revs, id)
local at = redis.call('ZSCORE', log, id)
if known and tonumber(known) >= rev then return {'deduped', num(tonumber(at or '0'))} end
if not known and (arrival < floor or arrival < now - keep) then return {'too-old', '0'} end

redis.call('HSET', revs, id, num(rev))
redis.call('ZADD', seen, num(arrival), id)
local outcome = 'appended'
if retract then outcome = at and 'tombstoned' or 'nothing' end
local offset = 0
if outcome ~= 'nothing' then
  last = last + 1
  offset = last
  redis.call('ZADD', log, num(offset), id) -- moves the entry that it replaces
  redis.call('HSET', body, id, ARGV[5])
end

local function drop(old)
  local place = redis.call('ZSCORE', log, old)
  if not place then return end
  redis.call('ZREM', log, old)
  redis.call('HDEL', body, old)
  if tonumber(place) > gone then gone = tonumber(place) end
end
-- Bounded work in each call: what is left over goes with the next one.
for _ = 1, 100 do
  if redis.call('ZCARD', log) <= max then break end
  drop(redis.call('ZRANGE', log, 0, 0)[1])
end
for _ = 1, 100 do
  local oldest = redis.call('ZRANGE', seen, 0, 0, 'WITHSCORES')
  if not oldest[1] then break end
  local when = tonumber(oldest[2])
  if when >= now - keep and redis.call('ZCARD', seen) <= 4 * max then break end
  drop(oldest[1])
  redis.call('ZREM', seen, oldest[1])
  redis.call('HDEL', revs, oldest[1])
  if when > floor then floor = when end
end

redis.call('HSET', meta, 'next', num(last), 'gone', num(gone), 'floor', num(floor))
for i = 1, 5 do redis.call('PEXPIRE', KEYS[i], num(keep + 86400000)) end
if offset > 0 then redis.call('PUBLISH', ARGV[9], ARGV[10]) end
return {outcome, num(offset)}
