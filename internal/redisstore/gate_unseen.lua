-- Closes a window, if it has not ended by itself, and counts the notifications of
-- its digest that the participant has not seen.
--
-- KEYS     meta, log, body (see inboxKeys), digests, window (see digestsKey, windowKey)
-- ARGV[1]  the window's start, ms
--
-- Returns  how many; their number is bounded where they are added
local meta, log, body, digests, window = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
if redis.call('HGET', window, 'start') == ARGV[1] then redis.call('HSET', window, 'ends', '0') end
local acked = tonumber(redis.call('HGET', meta, 'acked') or '0')
local unseen = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', digests, ARGV[1], ARGV[1])) do
  local place = redis.call('ZSCORE', log, id)
  if not place then
    unseen = unseen + 1 -- of another life, or dropped for room: nobody saw it there
  elseif tonumber(place) > acked then
    -- Within a text of JSON a quotation mark has a backslash before it, so this is
    -- found in the field alone.
    local entry = redis.call('HGET', body, id) or ''
    if not string.find(entry, '"op":"retract"', 1, true) then unseen = unseen + 1 end
  end
end
return unseen
