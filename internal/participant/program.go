package participant

// Schema is the contract that a rules file declares: which events there are,
// which fields they carry, and the shape of a participant's state. It is
// immutable once built; build it with NewSchema.
type Schema struct {
	Hunt    string
	Version int
	// Digest names the exact rules (hex SHA-256 of their canonical bytes); it
	// is part of every partition's token.
	Digest string
	Types  []EventType
	Slots  []Slot
	// Rules are the names of the rules in the order of the rules file.
	Rules []string
	// Leaderboards in the order of the rules file.
	Leaderboards []Leaderboard
	// RejectUnknown refuses event types that are not declared; otherwise they
	// are accepted, counted and have no effect.
	RejectUnknown bool
	Order         Order
	// EventBytesMax bounds a record's value; larger ones are too-large.
	EventBytesMax int

	types map[string]int
}

// Order holds the bounds of reordering. They decide fates, so they are part of
// the rules and never of a process's configuration. Durations in µs.
type Order struct {
	Grace    int64 // how far behind the newest event one may arrive and still count
	MaxAhead int64 // how far ahead of its arrival an event's time may be
	MaxTail  int   // events kept for refolding
	Ring     int   // identities remembered behind the floor, to tell duplicate from late
}

// The defaults of Order and of EventBytesMax.
const (
	DefaultGrace         = 30 * 1_000_000
	DefaultMaxAhead      = 60 * 1_000_000
	DefaultMaxTail       = 256
	DefaultRing          = 16
	DefaultEventBytesMax = 256 << 10
)

// EventType is one declared type of event.
type EventType struct {
	Name   string
	Fields []Field
}

// Field is one declared field of an event's data. Kind is Int, Bool, String,
// Time or Double.
type Field struct {
	Name     string
	Kind     Kind
	Optional bool
	// Min and Max bound an int or a double, where HasMin and HasMax say so.
	Min, Max       float64
	HasMin, HasMax bool
	IntMin, IntMax int64 // exact bounds for ints
	BytesMax       int   // bounds a string, in bytes
	Enum           []string
}

// Slot is one named place of a participant's state.
type Slot struct {
	Name string
	Kind Kind
	Max  int // members of a set or map, bytes of a string
	Zero Value
}

// Leaderboard ranks participants by a slot of kind Int or Time. Who has no value
// there is not on it.
type Leaderboard struct {
	Name      string
	Slot      int  // place in Schema.Slots
	Ascending bool // the lowest first; otherwise the highest
}

// NewSchema indexes s and returns it.
func NewSchema(s Schema) *Schema {
	s.types = make(map[string]int, len(s.Types))
	for i := range s.Types {
		s.types[s.Types[i].Name] = i
	}
	return &s
}

// TypeIndex returns the place of an event type, or -1.
func (s *Schema) TypeIndex(name string) int {
	if i, ok := s.types[name]; ok {
		return i
	}
	return -1
}

// TypeNames returns the names of the event types, in their order.
func (s *Schema) TypeNames() []string {
	names := make([]string, len(s.Types))
	for i := range s.Types {
		names[i] = s.Types[i].Name
	}
	return names
}

// SlotNames returns the names of the slots, in their order.
func (s *Schema) SlotNames() []string {
	names := make([]string, len(s.Slots))
	for i := range s.Slots {
		names[i] = s.Slots[i].Name
	}
	return names
}

// LeaderboardNames returns the names of the leaderboards, in their order.
func (s *Schema) LeaderboardNames() []string {
	names := make([]string, len(s.Leaderboards))
	for i := range s.Leaderboards {
		names[i] = s.Leaderboards[i].Name
	}
	return names
}

// Initial returns the state of a participant who has no events.
func (s *Schema) Initial() []Value {
	values := make([]Value, len(s.Slots))
	for i := range s.Slots {
		values[i] = s.Slots[i].Zero
	}
	return values
}

// Occurrence is what a step of the rules may see of an event: what the tail
// keeps, so that a refold sees exactly what the first fold saw.
type Occurrence struct {
	Participant string
	Time        int64 // µs since the Unix epoch
	TypeIndex   int
	Fields      []Value
	// Quiet says that the event has had its effect here before, and only what it
	// does to the state is wanted: the step may leave out its notices.
	Quiet bool
	// Held is the step's own: the places, in Schema.Rules, of the rules that it
	// applied, in their order. The step appends; whoever calls it empties it.
	Held []int
}

// Program is a compiled rules file. It is deterministic: no clock, no
// randomness, no map order; safe for concurrent use.
type Program interface {
	Schema() *Schema
	// Step applies one event to state, in place (collections are replaced,
	// never changed), and appends what the rules say to notify. On error the
	// caller discards state and notices; the error is a *Rejection with fate
	// RuleError or Overflow. TypeIndex -1 has no effect.
	Step(state []Value, o *Occurrence, notices []Notice) ([]Notice, error)
	// Template describes the notification with that key, or is nil for a key
	// of other rules.
	Template(key uint32) *Template
}

// Notice is one notification that a step justifies. Key names the template; a
// step yields each key at most once.
type Notice struct {
	Key         uint32
	Title, Body string
}

// Template is what a rules file says of one of its notifications.
type Template struct {
	Rule, Name string
	Class      *Class
}

// Class is how notifications of a kind are delivered.
type Class struct {
	Name      string
	Channels  []string // in order: inbox, webhook, …
	ExpiresMs int64    // after the cause's arrival; past it nothing is pushed
	HoldMs    int64    // external channels wait that long for a retraction
	// Critical passes what a participant has muted, their quiet hours and the
	// bound of their pushes.
	Critical bool
	// ResendUnknown says what to do after an attempt whose outcome is unknown:
	// true sends again (at least once), false drops (at most once).
	ResendUnknown bool
}

// Op is what a notification record asks the notifier to do.
type Op uint8

// The operations. Update carries the next revision of what was sent; Retract
// says that it is no longer justified.
const (
	Send Op = iota
	Update
	Retract
	OpCount // the number of operations, for tables
)

var opNames = [...]string{"send", "update", "retract"}

func (o Op) String() string { return opNames[o] }

// OpByName returns the operation with that name.
func OpByName(name string) (Op, bool) {
	for i, n := range opNames {
		if n == name {
			return Op(i), true
		}
	}
	return 0, false
}

// Notification is one output of the fold. ID is derived from the event's
// identity, the rule and the name, so that a refold finds it again. Revision
// starts at 1 and grows by one with every operation on the same ID.
type Notification struct {
	ID          Identity
	Op          Op
	Revision    uint32
	Key         uint32
	Participant string
	Title, Body string
	EventTime   int64 // µs since the Unix epoch, of the event that justified it
	EventType   string
}
