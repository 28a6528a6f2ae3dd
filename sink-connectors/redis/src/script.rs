//! The scripts that the server runs: each is atomic, so compare and write are one.

/// Writes an item unless a newer one is there.
///
/// Keys: the hash, then for each place a geo set and the set of those that it cannot hold. Arguments: version, hash, life in ms (0: for
/// ever), member, for each place longitude and latitude (the first empty: none; `beyond`: for the second set), then the hash's fields and
/// values. Gives 1 stored, 0 the same was there, -1 newer is there.
///
/// Everything that could fail for the key's sake is read before anything is written.
pub(crate) const WRITE: &str = r"
local function less(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end
local key, version, hash, life, member = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local there = redis.call('HMGET', key, '_version', '_hash')
for set = 2, #KEYS, 2 do
  redis.call('ZSCORE', KEYS[set], member)
  redis.call('SISMEMBER', KEYS[set + 1], member)
end
if there[1] then
  if there[1] == version and there[2] == hash then
    if life > 0 then redis.call('PEXPIRE', key, life) end
    return 0
  end
  if less(version, there[1]) or (version == there[1] and hash < there[2]) then return -1 end
end
local at = 5
local places = {}
for set = 2, #KEYS, 2 do
  places[set] = { ARGV[at], ARGV[at + 1] }
  at = at + 2
end
-- Not before a new item: after any write the server no longer refuses for want of memory.
if redis.call('EXISTS', key) == 1 then redis.call('DEL', key) end
while at <= #ARGV do
  redis.call('HSET', key, unpack(ARGV, at, math.min(at + 999, #ARGV)))
  at = at + 1000
end
if life > 0 then redis.call('PEXPIRE', key, life) end
for set = 2, #KEYS, 2 do
  local lon, lat = places[set][1], places[set][2]
  if lon == '' or lon == 'beyond' then
    redis.call('ZREM', KEYS[set], member)
  else
    redis.call('GEOADD', KEYS[set], lon, lat, member)
  end
  if lon == 'beyond' then
    redis.call('SADD', KEYS[set + 1], member)
  else
    redis.call('SREM', KEYS[set + 1], member)
  end
end
return 1
";

/// The generation of a type: 16 hexadecimal digits and the second it was made. Made when there is none, or when it is older than
/// the argument's seconds (0: never). Key: the mark.
pub(crate) const MARK: &str = r"
local there = redis.call('GET', KEYS[1])
local now = redis.call('TIME')
local age_max = tonumber(ARGV[1])
if there then
  local made = tonumber(string.match(there, '^%x+:(%d+)$'))
  if made and (age_max == 0 or tonumber(now[1]) - made < age_max) then return there end
end
local random = redis.sha1hex(now[1] .. ' ' .. now[2] .. ' ' .. KEYS[1])
local mark = string.sub(random, 1, 16) .. ':' .. now[1]
redis.call('SET', KEYS[1], mark)
return mark
";

/// Uses every command that the other scripts use, so that a right that the account lacks is told before the crawl. Key: one that no
/// item has; nothing of it stays.
pub(crate) const TRIAL: &str = r"
local key = KEYS[1]
redis.call('DEL', key)
redis.call('HSET', key, 'a', '1')
redis.call('HMGET', key, 'a')
redis.call('PEXPIRE', key, 60000)
redis.call('EXISTS', key)
redis.call('DEL', key)
redis.call('GEOADD', key, 0, 0, 'a')
redis.call('ZSCORE', key, 'a')
redis.call('ZREM', key, 'a')
redis.call('SADD', key, 'a')
redis.call('SISMEMBER', key, 'a')
redis.call('SREM', key, 'a')
return 1
";

/// Takes a member out of a place's sets when its hash has expired. Keys: the hash, the two sets. Argument: the member.
pub(crate) const FORGET: &str = r"
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
return redis.call('ZREM', KEYS[2], ARGV[1]) + redis.call('SREM', KEYS[3], ARGV[1])
";

/// Marks an item as gone unless a crawl has seen it since. Keys: as of `WRITE`. Arguments: the version from which it
/// counts as seen since, that version as a time, the member. Gives 1 marked, 0 nothing to mark, -1 seen since.
pub(crate) const DELIST: &str = r"
local there = redis.call('HMGET', KEYS[1], '_version', '_delisted_at')
if not there[1] or there[2] then return 0 end
if #there[1] > #ARGV[1] or (#there[1] == #ARGV[1] and there[1] >= ARGV[1]) then return -1 end
redis.call('HSET', KEYS[1], '_delisted_at', ARGV[2])
for set = 2, #KEYS, 2 do
  redis.call('ZREM', KEYS[set], ARGV[3])
  redis.call('SREM', KEYS[set + 1], ARGV[3])
end
return 1
";
