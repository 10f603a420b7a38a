-- Appends one chain of segments to a project's stream and tells the hubs, once and in order.
-- KEYS: stream, head, live channel (one hash slot)
-- ARGV: epoch, first, last, table, bodies, ttl in ms, cap of the stream in bytes, most bytes to carry live,
--       and, where it is traced, the spans it comes of
-- Answers {what, head}: "published", "done" (had it), "behind" (head + 1 … first - 1 come first),
-- "unknown" (no head: write nothing, for an old batch must not seed an empty stream), "epoch".
-- What isn't ours under our names (another kind of key, no numbers, an id that leaves no room) is dropped: its
-- project would never be live again.
local known = redis.pcall('HMGET', KEYS[2], 'epoch', 'seq', 'bytes')
local head = not known.err and tonumber(known[2])
if not head or not known[1] then
    if known.err and string.find(known.err, 'WRONGTYPE', 1, true) then redis.call('DEL', KEYS[2]) end
    if known.err and not string.find(known.err, 'WRONGTYPE', 1, true) then return known end
    return {'unknown', 0}
end
if known[1] ~= ARGV[1] then return {'epoch', head} end
local first, last = tonumber(ARGV[2]), tonumber(ARGV[3])
if last <= head then return {'done', head} end
if first > head + 1 then return {'behind', head} end

local bodies = ARGV[5]
local added = redis.pcall('XADD', KEYS[1], ARGV[3] .. '-0', 't', ARGV[4], 'f', bodies)
if type(added) == 'table' and added.err then
    if not string.find(added.err, 'WRONGTYPE', 1, true) and not string.find(added.err, 'XADD', 1, true) then
        return added
    end
    redis.call('DEL', KEYS[1])
    redis.call('XADD', KEYS[1], ARGV[3] .. '-0', 't', ARGV[4], 'f', bodies)
end
local bytes = (tonumber(known[3]) or 0) + #bodies
local cap = tonumber(ARGV[7])
while bytes > cap do
    local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
    if oldest == nil or oldest[1] == ARGV[3] .. '-0' then
        -- Alone in its stream, which was evicted while the head stayed: count again, or it stays alone.
        bytes = #bodies
        break
    end
    redis.call('XDEL', KEYS[1], oldest[1])
    bytes = bytes - #(oldest[2][4] or '')
end
redis.call('HSET', KEYS[2], 'seq', ARGV[3], 'bytes', bytes)
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
if ARGV[9] then redis.call('SPUBLISH', KEYS[3], 't' .. ARGV[1] .. ' ' .. ARGV[3] .. ' ' .. ARGV[9]) end
if #bodies <= tonumber(ARGV[8]) then
    redis.call('SPUBLISH', KEYS[3], 'b' .. ARGV[4] .. bodies)
else
    redis.call('SPUBLISH', KEYS[3], 'h' .. ARGV[1] .. ' ' .. ARGV[3])
end
return {'published', last}
