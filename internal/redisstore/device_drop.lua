-- Takes one device of a participant out by compare-and-delete.
--
-- KEYS[1]  the participant's devices
-- ARGV[1]  device ID
-- ARGV[2]  the device as JSON, exactly as it was read
--
-- Returns  1 where it is gone by this call, 0 where it had changed or was gone before
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
