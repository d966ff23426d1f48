-- Takes or renews the lease of a processor slot.
-- KEYS[1]  the lease
-- ARGV     1 owner, 2 life in milliseconds, 3 a former owner whose lease may be
--          taken over because its process is known to be gone (may be empty)
-- Returns  the owner then stored
local held = redis.call('GET', KEYS[1])
if not held or held == ARGV[1] or (ARGV[3] ~= '' and held == ARGV[3]) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return ARGV[1]
end
return held
