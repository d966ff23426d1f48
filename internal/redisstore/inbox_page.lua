-- Reads a stretch of a participant's inbox. Writes nothing.
--
-- KEYS     meta, log, body (see inboxKeys)
-- ARGV[1]  'after' (oldest first) or 'newest' (newest first)
-- ARGV[2]  the cursor's epoch, '' for none
-- ARGV[3]  after: the cursor's offset; newest: the offset to stay below, 0 for none
-- ARGV[4]  entries at most
--
-- Returns  {epoch, last offset, acked, resync 0|1, offset, JSON, offset, JSON, ...}
local meta, log, body = KEYS[1], KEYS[2], KEYS[3]
local m = redis.call('HMGET', meta, 'epoch', 'next', 'acked', 'gone')
local epoch, last, gone = m[1] or '', tonumber(m[2] or '0'), tonumber(m[4] or '0')
local from, resync = tonumber(ARGV[3]), '0'
local function num(n) return string.format('%.0f', n) end
local ids
if ARGV[1] == 'after' then
  if ARGV[2] == '' then
    from = 0
  elseif ARGV[2] ~= epoch or from > last or from < gone then
    from, resync = 0, '1'
  end
  ids = redis.call('ZRANGEBYSCORE', log, '(' .. num(from), '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[4])
else
  local top = '+inf'
  if from > 0 then top = '(' .. num(from) end
  ids = redis.call('ZREVRANGEBYSCORE', log, top, '-inf', 'WITHSCORES', 'LIMIT', 0, ARGV[4])
end
local out = {epoch, num(last), m[3] or '0', resync}
for i = 1, #ids, 2 do
  local entry = redis.call('HGET', body, ids[i])
  if entry then
    out[#out + 1] = num(tonumber(ids[i + 1]))
    out[#out + 1] = entry
  end
end
return out
