-- Writes one device of a participant, unless it would be one too many.
--
-- KEYS[1]  the participant's devices
-- ARGV[1]  device ID
-- ARGV[2]  the device as JSON
-- ARGV[3]  how many devices there may be
-- ARGV[4]  how long they are kept, ms
--
-- Returns  1 where it is written, 0 where there are too many
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
