-- Ends an attempt by compare-and-set on its owner and number.
--
-- KEYS[1]  the ledger entry
-- ARGV[1]  owner
-- ARGV[2]  attempt
-- ARGV[3]  the state it leaves: sent | dead | waiting
-- ARGV[4]  the provider's identifier
-- ARGV[5]  reason
-- ARGV[6]  ms until the next attempt
-- ARGV[7]  '1' where the attempt may have reached the target
-- ARGV[8]  how long the entry is kept, ms
--
-- Returns  1 where this call or an equal one before it made the mark, else 0
local key = KEYS[1]
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local e = redis.call('HMGET', key, 'st', 'owner', 'att', 'rev')
if e[2] ~= ARGV[1] or e[3] ~= ARGV[2] then return 0 end
if e[1] ~= 'inflight' then
  if e[1] == ARGV[3] then return 1 end
  return 0
end
redis.call('HSET', key, 'st', ARGV[3], 'prov', ARGV[4], 'why', ARGV[5], 'until', '0',
  'next', string.format('%.0f', now + tonumber(ARGV[6])))
if ARGV[7] == '1' then redis.call('HSET', key, 'seen', e[4]) end
redis.call('PEXPIRE', key, ARGV[8])
return 1
