package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/signalbox-dev/signalbox/catalogue"
)

const (
	// typeTTL is how long a type is known after its last event; what functions and
	// policies were seen to do, too.
	typeTTL = 7 * 24 * time.Hour
	// typesBatch is how many types one script merges, and one answer lists.
	typesBatch = 100
	// maxEffectFields bounds what is known of policies.
	maxEffectFields = 10_000
)

// typeKeys are those of the catalogue. They share one hash tag, so that a script
// may touch them all in a cluster.
type typeKeys struct{ index, one, effects string }

func (l *Ledger) typeKeys() typeKeys {
	tag := "{" + l.cfg.KeyPrefix + "cat}:"
	return typeKeys{index: tag + "types", one: tag + "t:", effects: tag + "effects"}
}

// MergeTypes adds what one process saw to what is known, each type in one step.
// Beyond the bounds of cfg the types seen least lately go, and a type is
// forgotten a week after its last event. Errors: ErrUnavailable; then some of it
// may have been added, and the caller who repeats it counts that twice.
func (l *Ledger) MergeTypes(ctx context.Context, cfg catalogue.Config, deltas []catalogue.Delta, effects []catalogue.Effect) error {
	for batch := range slices.Chunk(deltas, typesBatch) {
		if err := l.mergeTypes(ctx, cfg, batch); err != nil {
			return err
		}
	}
	return l.mergeEffects(ctx, effects)
}

func (l *Ledger) mergeTypes(ctx context.Context, cfg catalogue.Config, deltas []catalogue.Delta) error {
	k := l.typeKeys()
	keys := []string{k.index}
	args := []any{
		strconv.Itoa(cfg.MaxTypes), strconv.FormatInt(typeTTL.Milliseconds(), 10), strconv.FormatInt(l.now().UnixMilli(), 10), k.one,
		strconv.Itoa(cfg.MaxSources), strconv.Itoa(cfg.MaxContentTypes), strconv.Itoa(cfg.MaxEmitters), strconv.Itoa(catalogue.Kept),
	}
	for i := range deltas {
		d := &deltas[i]
		keys = append(keys, k.one+d.Type)
		args = append(args, d.Type, strconv.FormatUint(d.Count, 10), strconv.FormatInt(d.First, 10), strconv.FormatInt(d.Last, 10),
			minutesJSON(d.Minutes), textsJSON(d.Sources), textsJSON(d.ContentTypes), textsJSON(d.Emitters),
			flags(d.MoreSources, d.MoreContentTypes), d.Sample, strconv.Itoa(d.SampleSize))
	}
	_, err := l.run(ctx, mergeTypesScript, keys, args...)
	return err
}

// minutesJSON and textsJSON are "" when there are none.
func minutesJSON(m map[int64]uint64) string {
	if len(m) == 0 {
		return ""
	}
	var b strings.Builder
	for _, minute := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, ",\"%d\":%d", minute, m[minute])
	}
	return "{" + b.String()[1:] + "}"
}

func textsJSON(texts []string) string {
	if len(texts) == 0 {
		return ""
	}
	b, _ := json.Marshal(texts) // strings always marshal
	return string(b)
}

func flags(sources, contentTypes bool) string {
	s := ""
	if sources {
		s += "s"
	}
	if contentTypes {
		s += "c"
	}
	return s
}

func (l *Ledger) mergeEffects(ctx context.Context, effects []catalogue.Effect) error {
	if len(effects) == 0 {
		return nil
	}
	args := []any{strconv.Itoa(maxEffectFields), strconv.FormatInt(typeTTL.Milliseconds(), 10), strconv.FormatInt(l.now().UnixMilli(), 10)}
	for _, e := range effects {
		args = append(args, e.Policy+"\x00"+e.Link+"\x00"+e.Function)
	}
	_, err := l.run(ctx, mergeEffectsScript, []string{l.typeKeys().effects}, args...)
	return err
}

// typeFields are what Types asks for, in this order; the sample comes last.
var typeFields = []string{"n", "f", "l", "m", "s", "c", "e", "more", "x", "xs"}

// listedFields is how many of them a list has: all but the sample.
const listedFields = 8

// Types lists what is known, sorted by name, without samples. The fields that
// the resources say are left empty.
func (l *Ledger) Types(ctx context.Context) ([]catalogue.Type, error) {
	bound, cancel := l.bound(ctx)
	names, err := l.client.ZRange(bound, l.typeKeys().index, 0, -1).Result()
	cancel()
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	slices.Sort(names)
	all := make([]catalogue.Type, 0, len(names))
	for batch := range slices.Chunk(names, typesBatch) {
		types, err := l.readTypes(ctx, batch, listedFields)
		if err != nil {
			return nil, err
		}
		all = append(all, types...)
	}
	return all, nil
}

// Type returns one type with its sample; ErrNotFound when it is not known.
func (l *Ledger) Type(ctx context.Context, name string) (catalogue.Type, error) {
	types, err := l.readTypes(ctx, []string{name}, len(typeFields))
	if err != nil {
		return catalogue.Type{}, err
	}
	if len(types) == 0 {
		return catalogue.Type{}, fmt.Errorf("type %q: %w", name, ErrNotFound)
	}
	return types[0], nil
}

// readTypes leaves out what is not known.
func (l *Ledger) readTypes(ctx context.Context, names []string, fields int) ([]catalogue.Type, error) {
	bound, cancel := l.bound(ctx)
	defer cancel()
	prefix := l.typeKeys().one
	p := l.client.Pipeline()
	cmds := make([]*redis.SliceCmd, len(names))
	for i, name := range names {
		cmds[i] = p.HMGet(bound, prefix+name, typeFields[:fields]...)
	}
	if _, err := p.Exec(bound); err != nil {
		return nil, unavailable(ctx, err)
	}
	var types []catalogue.Type
	for i, name := range names {
		if t, ok := decodeType(name, cmds[i].Val(), l.now()); ok {
			types = append(types, t)
		}
	}
	return types, nil
}

// decodeType reads the fields of one; it is false when there is none.
func decodeType(name string, values []any, now time.Time) (catalogue.Type, bool) {
	text := make([]string, len(typeFields))
	for i, v := range values {
		text[i], _ = v.(string) // nil is ""
	}
	t := catalogue.Type{Name: name, DeclaredBy: []string{}, Listeners: []catalogue.Listener{}, Schemas: []string{}}
	t.Count, _ = strconv.ParseUint(text[0], 10, 64)
	t.FirstSeen, t.LastSeen = timeOf(text[1]), timeOf(text[2])
	var minutes map[int64]uint64
	_ = json.Unmarshal([]byte(text[3]), &minutes) // "" is none
	t.Rate1m, t.Rate1h = catalogue.Rates(minutes, now)
	t.Sources, t.ContentTypes, t.EmittedBy = textsOf(text[4]), textsOf(text[5]), textsOf(text[6])
	t.MoreSources, t.MoreContentTypes = strings.Contains(text[7], "s"), strings.Contains(text[7], "c")
	if json.Valid([]byte(text[8])) {
		t.Sample = json.RawMessage(text[8])
	}
	t.SampleSize, _ = strconv.Atoi(text[9])
	return t, text[0] != ""
}

func timeOf(ms string) time.Time {
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil || n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

func textsOf(s string) []string {
	texts := []string{}
	_ = json.Unmarshal([]byte(s), &texts) // "" is none
	slices.Sort(texts)
	return texts
}

// Effects lists what policies were seen to do within the last week.
func (l *Ledger) Effects(ctx context.Context) ([]catalogue.Effect, error) {
	bound, cancel := l.bound(ctx)
	defer cancel()
	all, err := l.client.HGetAll(bound, l.typeKeys().effects).Result()
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	oldest := l.now().Add(-typeTTL).UnixMilli()
	var effects []catalogue.Effect
	for _, field := range slices.Sorted(maps.Keys(all)) {
		at, _ := strconv.ParseInt(all[field], 10, 64)
		parts := strings.Split(field, "\x00")
		if len(parts) == 3 && at >= oldest {
			effects = append(effects, catalogue.Effect{Policy: parts[0], Link: parts[1], Function: parts[2]})
		}
	}
	return effects, nil
}

// mergeTypesScript merges what one process saw. The hash of a type has n (how
// many), f and l (milliseconds of the first and last), m (JSON of the events of
// each minute), s, c and e (JSON lists of sources, content types and functions),
// more (s and c where there are more than are listed), x and xs (sample, and
// the size of data left out of it).
//
// KEYS index, then the hash of each type; ARGV most types, milliseconds a type
// lives, now, what the hashes' keys begin with, most sources, content types and
// functions, minutes kept, then for each type: name, number, first, last,
// minutes, sources, content types, functions, marks, sample, its size. Answers {}.
var mergeTypesScript = newScript(`
local function list(key, field, fresh, most)
  if fresh == '' then return false end
  local have = redis.call('HGET', key, field)
  local texts, known, more = have and cjson.decode(have) or {}, {}, false
  for _, t in ipairs(texts) do known[t] = true end
  for _, t in ipairs(cjson.decode(fresh)) do
    if not known[t] then
      if #texts < most then
        texts[#texts+1] = t
        known[t] = true
      else
        more = true
      end
    end
  end
  if #texts > 0 then redis.call('HSET', key, field, cjson.encode(texts)) end
  return more
end
local most, ttl, now, prefix = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4]
for i = 2, #KEYS do
  local key, a = KEYS[i], 9 + (i-2) * 11
  local first, last = tonumber(ARGV[a+2]), tonumber(ARGV[a+3])
  redis.call('HINCRBY', key, 'n', ARGV[a+1])
  if first > 0 then
    local f, l = redis.call('HGET', key, 'f'), redis.call('HGET', key, 'l')
    if not f or first < tonumber(f) then redis.call('HSET', key, 'f', ARGV[a+2]) end
    if not l or last > tonumber(l) then
      redis.call('HSET', key, 'l', ARGV[a+3])
    else
      last = tonumber(l)
    end
  else
    last = tonumber(redis.call('HGET', key, 'l') or now)
  end
  if ARGV[a+4] ~= '' then
    local m = cjson.decode(redis.call('HGET', key, 'm') or '{}')
    for minute, n in pairs(cjson.decode(ARGV[a+4])) do m[minute] = (m[minute] or 0) + n end
    local oldest, kept = math.floor(now / 60000) - tonumber(ARGV[8]), {}
    local any = false
    for minute, n in pairs(m) do
      if tonumber(minute) >= oldest then
        kept[minute] = n
        any = true
      end
    end
    if any then redis.call('HSET', key, 'm', cjson.encode(kept)) else redis.call('HDEL', key, 'm') end
  end
  local marks = redis.call('HGET', key, 'more') or ''
  local s, c = string.find(marks .. ARGV[a+8], 's', 1, true), string.find(marks .. ARGV[a+8], 'c', 1, true)
  if list(key, 's', ARGV[a+5], tonumber(ARGV[5])) then s = true end
  if list(key, 'c', ARGV[a+6], tonumber(ARGV[6])) then c = true end
  list(key, 'e', ARGV[a+7], tonumber(ARGV[7]))
  marks = (s and 's' or '') .. (c and 'c' or '')
  if marks ~= '' then redis.call('HSET', key, 'more', marks) end
  if ARGV[a+9] ~= '' then redis.call('HSET', key, 'x', ARGV[a+9], 'xs', ARGV[a+10]) end
  redis.call('PEXPIRE', key, ttl)
  redis.call('ZADD', KEYS[1], string.format('%.0f', last), ARGV[a])
end
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - tonumber(ttl)))
local over = redis.call('ZCARD', KEYS[1]) - #gone - most
if over > 0 then gone = redis.call('ZRANGE', KEYS[1], 0, #gone + over - 1) end
for _, name in ipairs(gone) do
  redis.call('DEL', prefix .. name)
  redis.call('ZREM', KEYS[1], name)
end
redis.call('PEXPIRE', KEYS[1], ttl)
return {}
`)

// mergeEffectsScript notes when effects were seen last.
// KEYS effects; ARGV most fields, milliseconds they live, now, the fields. Answers {}.
var mergeEffectsScript = newScript(`
for i = 4, #ARGV do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 or redis.call('HLEN', KEYS[1]) < tonumber(ARGV[1]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[3])
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {}
`)
