package redisstore

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/participant"
)

// valuesPerCommand bounds one HMGET.
const valuesPerCommand = 5000

var (
	//go:embed apply.lua
	applySource string
	//go:embed init.lua
	initSource string

	applyScript = redis.NewScript(applySource)
	initScript  = redis.NewScript(initSource)

	metaFields = []string{"token", "generation", "start", "applied", "chain", "digest"}
)

// State is the partitions' view. It implements engine.Store; every method is
// idempotent, so that its caller may repeat it after a time-out.
type State struct {
	client redis.UniversalClient
	space  Space
	boards boards
	// watchedFrom is the number of values from which a move is made under WATCH.
	watchedFrom int
}

// NewState returns the view of one space. The schema says how values are ranked;
// a nil one, for those who neither write nor rank, has no leaderboards.
func NewState(client redis.UniversalClient, space Space, schema *participant.Schema) *State {
	return &State{client, space, newBoards(space, schema), watchedFrom}
}

// Load reads the position and the values of keys in one atomic step.
func (s *State) Load(ctx context.Context, partition int32, generation string, keys []string) (engine.Meta, [][]byte, error) {
	wanted := make(map[int][]int) // bucket → places in keys
	for i, key := range keys {
		b := s.space.bucketOf(key)
		wanted[b] = append(wanted[b], i)
	}
	fields := make(map[int][]string, len(wanted))
	for b, places := range wanted {
		for _, i := range places {
			fields[b] = append(fields[b], keys[i])
		}
	}
	meta, found, err := s.read(ctx, partition, generation, fields)
	if err != nil {
		return meta, nil, err
	}
	values := make([][]byte, len(keys))
	for b, places := range wanted {
		for n, i := range places {
			if v, ok := found[b][n].(string); ok {
				values[i] = []byte(v)
			}
		}
	}
	return meta, values, nil
}

// read fetches meta, fields by bucket, and the sentinels of these in one
// transaction.
func (s *State) read(ctx context.Context, partition int32, generation string, fields map[int][]string) (engine.Meta, map[int][]any, error) {
	var metaCmd *redis.SliceCmd
	sentinels := make(map[int]*redis.StringCmd, len(fields))
	chunks := make(map[int][]*redis.SliceCmd, len(fields))
	_, err := s.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		metaCmd = pipe.HMGet(ctx, s.space.metaKey(partition), metaFields...)
		for b, names := range fields {
			key := s.space.bucketKey(partition, generation, b)
			sentinels[b] = pipe.HGet(ctx, key, "")
			for len(names) > 0 {
				n := min(len(names), valuesPerCommand)
				chunks[b] = append(chunks[b], pipe.HMGet(ctx, key, names[:n]...))
				names = names[n:]
			}
		}
		return nil
	})
	if err != nil && err != redis.Nil { // Nil: a sentinel that is not there
		return engine.Meta{}, nil, fmt.Errorf("read states of partition %d: %w", partition, err)
	}
	meta, err := parseMeta(metaCmd.Val())
	if err != nil {
		return meta, nil, err
	}
	found := make(map[int][]any, len(fields))
	for b, cmds := range chunks {
		for _, cmd := range cmds {
			found[b] = append(found[b], cmd.Val()...)
		}
	}
	for _, sentinel := range sentinels {
		meta.Intact = meta.Intact && sentinel.Err() == nil
	}
	return meta, found, nil
}

// Apply moves a partition by compare-and-set; see apply.lua, and applyWatched for
// large ones.
func (s *State) Apply(ctx context.Context, partition int32, move engine.Move) (engine.Meta, error) {
	if len(move.Values) >= s.watchedFrom {
		return s.applyWatched(ctx, partition, move)
	}
	byBucket := s.byBucket(move.Values)
	keys := []string{s.space.metaKey(partition)}
	args := make([]any, 0, 7+s.space.Buckets+2*len(move.Values)*(1+len(s.boards.list)))
	args = append(args, move.Token, move.Generation, move.From, move.To,
		strconv.FormatUint(move.Chain, 16), strconv.FormatUint(move.Digest, 16), 0)
	buckets := len(args) - 1
	for b, pairs := range byBucket {
		if len(pairs) > 0 {
			keys = append(keys, s.space.bucketKey(partition, move.Generation, b))
			args = append(append(args, len(pairs)), pairs...)
		}
	}
	args[buckets] = len(keys) - 1
	if len(move.Values) > 0 {
		keys = append(keys, s.boards.keys(partition, move.Generation)...)
		args = s.boards.changes(args, move.Values)
	}
	return s.run(ctx, "move", partition, applyScript, keys, args)
}

// byBucket returns the arguments of each bucket's HSET.
func (s *State) byBucket(values []engine.KeyValue) [][]any {
	out := make([][]any, s.space.Buckets)
	for i := range values {
		v := &values[i]
		b := s.space.bucketOf(v.Key)
		out[b] = append(out[b], v.Key, v.Value)
	}
	return out
}

// Init begins a new generation; see init.lua. What it replaces is deleted.
func (s *State) Init(ctx context.Context, partition int32, old, next engine.Meta) (engine.Meta, error) {
	staged := 1
	if next.Generation == "" {
		staged, next.Generation = 0, newGeneration()
	}
	expected := []any{"", "", ""}
	if old.Exists {
		expected = []any{old.Token, old.Generation, old.Applied}
	}
	keys := append([]string{s.space.metaKey(partition)}, s.keys(partition, next.Generation)...)
	meta, err := s.run(ctx, "begin", partition, initScript, keys, append(expected, next.Token, next.Generation, next.Start,
		next.Applied, strconv.FormatUint(next.Chain, 16), strconv.FormatUint(next.Digest, 16), staged, s.space.Buckets))
	if err == nil && old.Exists && meta.Generation == next.Generation {
		// Only memory is at stake: nobody reads this generation any more.
		_ = s.client.Unlink(ctx, s.keys(partition, old.Generation)...).Err()
	}
	return meta, err
}

// keys returns all keys of a generation: its buckets, then its leaderboards.
func (s *State) keys(partition int32, generation string) []string {
	return append(s.space.bucketKeys(partition, generation), s.boards.keys(partition, generation)...)
}

func newGeneration() string {
	var id [6]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

func (s *State) run(ctx context.Context, verb string, partition int32, script *redis.Script, keys []string, args []any) (engine.Meta, error) {
	reply, err := script.Run(ctx, s.client, keys, args...).Slice()
	return parseReply(verb, partition, reply, err)
}

// parseReply reads what the scripts return of a partition: metaFields and intact.
func parseReply(verb string, partition int32, reply []any, err error) (engine.Meta, error) {
	if err != nil {
		return engine.Meta{}, fmt.Errorf("%s partition %d: %w", verb, partition, err)
	}
	if len(reply) != len(metaFields)+1 {
		return engine.Meta{}, fmt.Errorf("%s partition %d: unexpected reply of %d fields", verb, partition, len(reply))
	}
	meta, err := parseMeta(reply[:len(metaFields)])
	intact, _ := reply[len(metaFields)].(int64)
	meta.Intact = meta.Intact && intact == 1
	return meta, err
}

// parseMeta reads the reply of HMGET metaFields. A meta without its token or
// position counts as none.
func parseMeta(values []any) (engine.Meta, error) {
	var text [6]string
	for i, v := range values {
		text[i], _ = v.(string)
	}
	if text[0] == "" || text[1] == "" || text[3] == "" {
		return engine.Meta{}, nil
	}
	m := engine.Meta{Exists: true, Intact: true, Token: text[0], Generation: text[1]}
	var errs [4]error
	m.Start, errs[0] = strconv.ParseInt(text[2], 10, 64)
	m.Applied, errs[1] = strconv.ParseInt(text[3], 10, 64)
	m.Chain, errs[2] = strconv.ParseUint(text[4], 16, 64)
	m.Digest, errs[3] = strconv.ParseUint(text[5], 16, 64)
	for i, err := range errs {
		if err != nil {
			return engine.Meta{}, fmt.Errorf("read meta field %s: %w", metaFields[i+2], err)
		}
	}
	return m, nil
}

// Participant reads one participant's state with the position it belongs to; a
// nil value means that there is none.
func (s *State) Participant(ctx context.Context, partition int32, id string) (engine.Meta, []byte, error) {
	meta, err := s.Meta(ctx, partition)
	if err != nil || !meta.Exists {
		return meta, nil, err
	}
	meta, values, err := s.Load(ctx, partition, meta.Generation, []string{id})
	if err != nil {
		return meta, nil, err
	}
	return meta, values[0], nil
}
