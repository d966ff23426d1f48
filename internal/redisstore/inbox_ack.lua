-- Notes how far a participant has seen their inbox.
--
-- KEYS[1]  meta (see inboxKeys)
-- ARGV[1]  the offset
--
-- Returns  what is noted now: it never goes back, nor past the newest offset
local m = redis.call('HMGET', KEYS[1], 'next', 'acked')
if not m[1] then return '0' end
local offset, acked = math.min(tonumber(ARGV[1]), tonumber(m[1])), tonumber(m[2] or '0')
if offset > acked then
  acked = offset
  redis.call('HSET', KEYS[1], 'acked', string.format('%.0f', acked))
end
return string.format('%.0f', acked)
