-- Counts one push against a participant's allowance, or its notification in the
-- digest of the window.
--
-- KEYS[1]  the window, KEYS[2] the digests (see windowKey, digestsKey)
-- ARGV[1]  notification ID
-- ARGV[2]  revision
-- ARGV[3]  the target (see pushTarget)
-- ARGV[4]  pushes in a window
-- ARGV[5]  how long a window is, ms
-- ARGV[6]  how long after its window's start a notification is kept for a digest, ms
-- ARGV[7]  notifications kept for digests at most
-- ARGV[8]  targets that a window remembers at most
--
-- Returns  {admitted 0|1, the window's start in ms, ms until its end, opens 0|1}
--
-- The answer to one revision changes in nothing but ms until the window has ended:
-- what was admitted is noted by revision, and what is in the window's digest by
-- notification, so that no update of it comes out on its own.
local window, digests = KEYS[1], KEYS[2]
local id, revision, target = ARGV[1], 'a:' .. ARGV[1] .. '.' .. ARGV[2], 'o:' .. ARGV[3]
local max, length = tonumber(ARGV[4]), tonumber(ARGV[5])
local keep, room, targets = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local function num(n) return string.format('%.0f', n) end

local w = redis.call('HMGET', window, 'start', 'ends', 'count', revision, target)
if not w[1] or now >= tonumber(w[2]) then
  redis.call('DEL', window)
  -- One that was closed may have begun within this millisecond.
  local begin = math.max(now, tonumber(w[1] or '0') + 1)
  w = {num(begin), num(now + length), '0', false, false}
  redis.call('HSET', window, 'start', w[1], 'ends', w[2], 'count', w[3])
  redis.call('PEXPIRE', window, num(length + 60000))
end
local start, count = tonumber(w[1]), tonumber(w[3])
local function reply(admitted, opens)
  return {admitted, num(start), num(tonumber(w[2]) - now), opens}
end

if w[4] then return reply('1', '0') end
local digest = redis.call('ZSCORE', digests, id)
local counted = digest and tonumber(digest) == start
if not counted and count < max then
  redis.call('HSET', window, revision, '1', 'count', num(count + 1))
  if digest then redis.call('ZREM', digests, id) end -- of an earlier window: it is told by itself now
  return reply('1', '0')
end

if not counted then
  redis.call('ZREMRANGEBYSCORE', digests, '-inf', '(' .. num(start - keep)) -- of room at most
  if not digest and redis.call('ZCARD', digests) >= room then
    -- One of an older window makes room. Where all are of this one, it is as
    -- large as it gets.
    local oldest = redis.call('ZRANGE', digests, 0, 0, 'WITHSCORES')
    if tonumber(oldest[2]) < start then redis.call('ZREM', digests, oldest[1]) end
  end
  if redis.call('ZCARD', digests) < room or digest then redis.call('ZADD', digests, num(start), id) end
  redis.call('PEXPIRE', digests, num(keep))
end

local opener = w[5]
if opener == id then return reply('0', '1') end
if opener then
  -- Whoever was to open it may have been retracted before the digest was parked.
  local of = redis.call('ZSCORE', digests, opener)
  if of and tonumber(of) == start then return reply('0', '0') end
end
-- Parked once more, a digest does no harm: all of a window have one ID.
if opener or redis.call('HLEN', window) - 3 - count < targets then redis.call('HSET', window, target, id) end
return reply('0', '1')
