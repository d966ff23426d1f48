package enginetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/participant"
)

// Fold is a small fold whose state depends on the order of its records, so
// that a lost, doubled or swapped one shows. A record's value that begins with
// "poison" is rejected whatever the state; "noop" leaves the state as it is.
type Fold struct{}

type state struct{ count, hash uint64 }

func (*state) Bytes() int { return 16 }

// Key implements engine.Fold.
func (Fold) Key(r *engine.Record) []byte {
	if strings.HasPrefix(string(r.Value), "poison") {
		return nil
	}
	return r.Key
}

// New implements engine.Fold.
func (Fold) New() engine.State { return &state{} }

// Clone implements engine.Fold. It writes over what is over, so that one that is
// not over after all shows.
func (Fold) Clone(s, over engine.State) engine.State {
	c, ok := over.(*state)
	if !ok {
		c = new(state)
	}
	*c = *s.(*state)
	return c
}

// Apply implements engine.Fold.
func (Fold) Apply(s engine.State, r *engine.Record, out *engine.Outputs) {
	if s == nil {
		out.Fates[participant.Malformed]++
		out.List = append(out.List, output(engine.Rejected, r, "rejected"))
		return
	}
	out.Fates[participant.Applied]++
	st := s.(*state)
	if string(r.Value) != "noop" {
		st.count++
		for _, b := range r.Value {
			st.hash = st.hash*1099511628211 ^ uint64(b)
		}
	}
	out.List = append(out.List, output(engine.Notifications, r, fmt.Sprintf("%s %d %x", r.Key, st.count, st.hash)))
}

func output(topic engine.Topic, r *engine.Record, value string) engine.Output {
	return engine.Output{Topic: topic, Partition: r.Partition, Key: r.Key, Value: fmt.Appendf(nil, "%d %s", r.Offset, value)}
}

// Encode implements engine.Fold.
func (Fold) Encode(dst []byte, s engine.State) []byte {
	st := s.(*state)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, st.count), st.hash)
}

// Load implements engine.Fold.
func (Fold) Load(b []byte) (engine.State, error) {
	if len(b) != 16 {
		return nil, errors.New("a state has 16 bytes")
	}
	return &state{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}, nil
}
