package participant

import "slices"

// Kind is the type of a state slot or of an event's field.
type Kind uint8

// The kinds. Double exists only in events: state holds no floating point, so
// that two machines can never disagree about a participant.
const (
	KindNone Kind = iota
	KindInt
	KindBool
	KindString
	KindTime
	KindSet
	KindMap
	KindDouble
)

var kindNames = [...]string{"none", "int", "bool", "string", "time", "set", "map", "number"}

func (k Kind) String() string { return kindNames[k] }

// Value is one typed slot. The zero Value (KindNone) means "absent": an
// optional field that the event does not carry, or a time never set.
type Value struct {
	Kind Kind
	// Int holds an int; a bool as 0 or 1; a time in µs since the Unix epoch;
	// a double as math.Float64bits.
	Int int64
	Str string
	// Coll holds a set or a map. It is immutable: whoever changes it replaces
	// it, so that base and head may share one.
	Coll *Collection
}

// Collection is a set of strings, or a map from string to int. Keys are sorted
// and unique; Ints is nil for a set and parallel to Keys for a map. A nil
// *Collection is the empty one.
type Collection struct {
	Keys []string
	Ints []int64
}

// Len returns the number of members.
func (c *Collection) Len() int {
	if c == nil {
		return 0
	}
	return len(c.Keys)
}

// Find returns the place of key and whether it is a member.
func (c *Collection) Find(key string) (int, bool) {
	if c == nil {
		return 0, false
	}
	return slices.BinarySearch(c.Keys, key)
}

// With returns the collection with key set to n (n is ignored by a set, which
// has isMap false). The receiver is left as it was.
func (c *Collection) With(key string, n int64, isMap bool) *Collection {
	at, found := c.Find(key)
	switch {
	case found && !isMap:
		return c
	case found:
		return &Collection{Keys: c.Keys, Ints: replaced(c.Ints, at, n)}
	}
	next := &Collection{Keys: inserted(c.keys(), at, key)}
	if isMap {
		next.Ints = inserted(c.ints(), at, n)
	}
	return next
}

// Without returns the collection with key removed; the receiver is left as it was.
func (c *Collection) Without(key string) *Collection {
	at, found := c.Find(key)
	if !found {
		return c
	}
	next := &Collection{Keys: removed(c.Keys, at)}
	if c.Ints != nil {
		next.Ints = removed(c.Ints, at)
	}
	return next
}

func (c *Collection) keys() []string {
	if c == nil {
		return nil
	}
	return c.Keys
}

func (c *Collection) ints() []int64 {
	if c == nil {
		return nil
	}
	return c.Ints
}

func inserted[T any](s []T, at int, v T) []T {
	out := make([]T, 0, len(s)+1)
	return append(append(append(out, s[:at]...), v), s[at:]...)
}

func replaced[T any](s []T, at int, v T) []T {
	out := slices.Clone(s)
	out[at] = v
	return out
}

func removed[T any](s []T, at int) []T {
	out := make([]T, 0, len(s)-1)
	return append(append(out, s[:at]...), s[at+1:]...)
}
