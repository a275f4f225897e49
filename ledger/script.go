package ledger

import (
	"crypto/sha1" // #nosec G505 -- how Redis names scripts
	"encoding/hex"
	"strconv"
)

// script is one atomic step inside Redis, in Lua.
type script struct {
	source, hash string
}

func newScript(source string) script {
	sum := sha1.Sum([]byte(source)) // #nosec G401 -- how Redis names scripts
	return script{source: source, hash: hex.EncodeToString(sum[:])}
}

// evalArgs are the arguments of EVAL (body is the source) or EVALSHA (the hash).
func evalArgs(command, body string, keys []string, args []any) []any {
	out := make([]any, 0, 3+len(keys)+len(args))
	out = append(out, command, body, strconv.Itoa(len(keys)))
	for _, k := range keys {
		out = append(out, k)
	}
	return append(out, args...)
}

// changeScript checks every condition, then writes everything at one new revision.
//
// KEYS revision documents pending; ARGV channel, lowest revision that is
// believed, write token ("" without a history), milliseconds, then for each
// resource: kind/name, condition ("" none, "!" must not exist, a number: that
// revision), digest ("" deletes), document.
//
// Answers {"ok", revision, then for each resource "1" if it was written else
// "0", and what stood there or ""}, {"behind"}, or {"exists" | "missing" |
// "conflict", kind/name, its revision}. A write that changes nothing keeps the
// resource's revision; one that replaces a resource keeps its uid (write.keepUID
// does the same to our copy).
var changeScript = newScript(`
local head = '{"apiVersion":"[^"]*","kind":"[^"]*","metadata":{"name":"[^"]*","uid":"()([^"]+)()"'
local function keep(document, old)
  local _, uid = string.match(old, '^%d+ %x+ ' .. head)
  local from, _, to = string.match(document, '^' .. head)
  if not uid or not from then return document end
  return string.sub(document, 1, from - 1) .. uid .. string.sub(document, to)
end
local now = redis.call('GET', KEYS[1])
if not now or tonumber(now) < tonumber(ARGV[2]) then return {'behind'} end
local out, todo = {'ok', now}, {}
for i = 5, #ARGV, 4 do
  local field, cond, digest = ARGV[i], ARGV[i+1], ARGV[i+2]
  local have = redis.call('HGET', KEYS[2], field)
  local rev, old = '0', ''
  if have then rev, old = string.match(have, '^(%d+) (%x+) ') end
  if cond == '!' and have then return {'exists', field, rev} end
  if digest == '' and not have then return {'missing', field, rev} end
  if cond ~= '' and cond ~= '!' and cond ~= rev then return {'conflict', field, rev} end
  local write = digest == '' or old ~= digest
  if write then todo[#todo+1] = {i, have or ''} end
  out[#out+1] = write and '1' or '0'
  out[#out+1] = have or ''
end
if #todo == 0 then return out end
local rev = string.format('%.0f', redis.call('INCR', KEYS[1]))
out[2] = rev
local fields = {}
for _, t in ipairs(todo) do
  local i = t[1]
  fields[#fields+1] = ARGV[i]
  if ARGV[i+2] == '' then
    redis.call('HDEL', KEYS[2], ARGV[i])
  else
    redis.call('HSET', KEYS[2], ARGV[i], rev .. ' ' .. ARGV[i+2] .. ' ' .. keep(ARGV[i+3], t[2]))
  end
end
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[3], ARGV[3], ARGV[4] .. ' ' .. rev .. ' ' .. table.concat(fields, ' '))
end
redis.call('PUBLISH', ARGV[1], rev)
return out
`)

// undoScript takes back what changeScript wrote at one revision, where nobody
// has written since, at a new revision. The write stays pending: the history
// may have taken some of it.
//
// KEYS revision documents pending; ARGV channel, write token, milliseconds,
// the revision written, then for each resource: kind/name, what stood there
// without its revision ("" nothing). Answers {revision, number of resources taken back}.
var undoScript = newScript(`
local todo = {}
for i = 5, #ARGV, 2 do
  local have = redis.call('HGET', KEYS[2], ARGV[i])
  local rev = have and string.match(have, '^(%d+) ')
  if rev == ARGV[4] or (not have and ARGV[i+1] ~= '') then todo[#todo+1] = i end
end
if #todo == 0 then return {ARGV[4], '0'} end
local rev = string.format('%.0f', redis.call('INCR', KEYS[1]))
local fields = {}
for _, i in ipairs(todo) do
  fields[#fields+1] = ARGV[i]
  if ARGV[i+1] == '' then
    redis.call('HDEL', KEYS[2], ARGV[i])
  else
    redis.call('HSET', KEYS[2], ARGV[i], rev .. ' ' .. ARGV[i+1])
  end
end
redis.call('HSET', KEYS[3], ARGV[2], ARGV[3] .. ' ' .. rev .. ' ' .. table.concat(fields, ' '))
redis.call('PUBLISH', ARGV[1], rev)
return {rev, tostring(#todo)}
`)

// confirmScript ends a pending write when what the history was given last is
// what stands.
//
// KEYS documents pending revision; ARGV write token, then for each resource: kind/name,
// the revision given to the history ("" a deletion). Answers nothing, or the
// revision now, then kind/name and document ("" deleted) of each resource that
// stands otherwise.
var confirmScript = newScript(`
local stale = {}
for i = 2, #ARGV, 2 do
  local have = redis.call('HGET', KEYS[1], ARGV[i])
  local rev = have and string.match(have, '^(%d+) ') or ''
  if rev ~= ARGV[i+1] then
    stale[#stale+1] = ARGV[i]
    stale[#stale+1] = have or ''
  end
end
if #stale == 0 then
  redis.call('HDEL', KEYS[2], ARGV[1])
  return {}
end
table.insert(stale, 1, redis.call('GET', KEYS[3]) or '0')
return stale
`)

// healScript writes what healing found, unless anything changed meanwhile.
//
// KEYS revision documents; ARGV channel, the revision healing began with ("" none),
// the new revision, then for each resource: kind/name, document ("" deletes).
// Answers {"1"}, or {"0"} when it changed.
var healScript = newScript(`
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[2] then return {'0'} end
for i = 4, #ARGV, 2 do
  if ARGV[i+1] == '' then
    redis.call('HDEL', KEYS[2], ARGV[i])
  else
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i+1])
  end
end
redis.call('SET', KEYS[1], ARGV[3])
redis.call('PUBLISH', ARGV[1], ARGV[3])
return {'1'}
`)

// releaseScript gives up the right to heal, if it is still ours.
// KEYS healing; ARGV token.
var releaseScript = newScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return {}
`)

// claimScript claims ids. It does per record what Claim promises, in order, so
// that a second copy inside one call is met as well.
//
// KEYS for each record: the bucket that takes the claim, then the other
// buckets to look into; ARGV milliseconds a new bucket lives, buckets a record,
// then for each record: field, coordinates. Answers one digit a record, the event.Verdict.
var claimScript = newScript(`
local ttl, k = ARGV[1], tonumber(ARGV[2])
local out = {}
for i = 0, #KEYS / k - 1 do
  local bucket, field, value = KEYS[i*k+1], ARGV[i*2+3], ARGV[i*2+4]
  local have = false
  for j = 2, k do
    have = redis.call('HGET', KEYS[i*k+j], field)
    if have then break end
  end
  if not have then
    if redis.call('HSETNX', bucket, field, value) == 0 then
      have = redis.call('HGET', bucket, field)
    elseif redis.call('HLEN', bucket) == 1 then
      redis.call('PEXPIRE', bucket, ttl)
    end
  end
  out[i+1] = have and (have == value and '1' or '2') or '0'
end
return table.concat(out)
`)
