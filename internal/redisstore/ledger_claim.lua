-- Asks for one attempt at delivering one revision of a notification to one target.
--
-- KEYS[1]  the ledger entry (hash: st, rev, att, owner, until, next, seen, why, prov)
--          st is inflight | waiting | sent | dead; until and next are ms; seen is
--          the highest revision that has, or may have, reached the target
-- ARGV[1]  owner
-- ARGV[2]  lease, ms
-- ARGV[3]  revision
-- ARGV[4]  '1' for a retraction
-- ARGV[5]  '1' where the deadline is over
-- ARGV[6]  how long the entry is kept, ms
--
-- Returns  {state, attempt, wait ms, unknown 0|1, seen 0|1, reason} with state one of
--          claimed, busy, early, finished, expired, retracted
local key = KEYS[1]
local owner, lease, rev = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local retract, expired, keep = ARGV[4] == '1', ARGV[5] == '1', tonumber(ARGV[6])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local e = redis.call('HMGET', key, 'st', 'rev', 'att', 'until', 'next', 'seen', 'why')
local st, known, att = e[1], tonumber(e[2] or '0'), tonumber(e[3] or '0')
local seen = tonumber(e[6] or '0')

local function num(n) return string.format('%.0f', n) end
local function reply(state, attempt, wait, unknown, why)
  return {state, num(attempt), num(wait), unknown, seen > 0 and '1' or '0', why}
end

local unknown = '0'
if st == 'inflight' then
  local left = tonumber(e[4]) - now
  if left > 0 then return reply('busy', att, left + 1, '0', '') end
  -- Whoever held the claim never reported: it may have been sent.
  if known > seen then seen = known end
  if known == rev then unknown = '1' end
end
if st then
  if known > rev then return reply('finished', att, 0, '0', 'a later revision is known') end
  if known == rev then
    if st == 'sent' then return reply('finished', att, 0, '0', 'sent') end
    if st == 'dead' then return reply('finished', att, 0, '0', e[7] or 'dead') end
    if st == 'waiting' and not expired then
      local left = tonumber(e[5]) - now
      if left > 0 then return reply('early', att, left + 1, '0', e[7] or '') end
    end
  else
    att = 0
  end
end

local function finish(state)
  redis.call('HSET', key, 'st', 'dead', 'rev', num(rev), 'att', num(att), 'why', state, 'seen', num(seen), 'until', '0')
  redis.call('PEXPIRE', key, num(keep))
  return reply(state, att, 0, unknown, state)
end
if retract and seen == 0 then return finish('retracted') end
if expired then return finish('expired') end

att = att + 1
redis.call('HSET', key, 'st', 'inflight', 'rev', num(rev), 'att', num(att), 'owner', owner,
  'until', num(now + lease), 'seen', num(seen), 'why', '')
redis.call('PEXPIRE', key, num(keep))
return reply('claimed', att, 0, unknown, '')
