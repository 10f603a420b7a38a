-- Sets a project's head to what Postgres says, with an empty stream, and tells the hubs to fill from there.
-- KEYS: stream, head, live channel (one hash slot)   ARGV: epoch, seq, ttl in ms
-- Answers the head that stands afterwards: of the same history only a lower one is replaced.
local known = redis.pcall('HMGET', KEYS[2], 'epoch', 'seq')
local head = not known.err and known[1] == ARGV[1] and tonumber(known[2])
if head and head >= tonumber(ARGV[2]) then return head end
redis.call('DEL', KEYS[1])
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'epoch', ARGV[1], 'seq', ARGV[2], 'bytes', 0)
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('SPUBLISH', KEYS[3], 'h' .. ARGV[1] .. ' ' .. ARGV[2])
return tonumber(ARGV[2])
