-- Says how a participant stands to one notification. Writes nothing.
--
-- KEYS[1]  meta, KEYS[2] log (see inboxKeys)
-- KEYS[3]  the participant's preferences
-- KEYS[4]  their presence
-- ARGV[1]  notification ID
--
-- Returns  {preferences as JSON or '', present 0|1, seen 0|1}
local place = redis.call('ZSCORE', KEYS[2], ARGV[1])
local seen = '0'
-- A lost meta has no acked: entries that are left of another life are unseen.
if place and tonumber(place) <= tonumber(redis.call('HGET', KEYS[1], 'acked') or '0') then seen = '1' end
return {redis.call('GET', KEYS[3]) or '', tostring(redis.call('EXISTS', KEYS[4])), seen}
