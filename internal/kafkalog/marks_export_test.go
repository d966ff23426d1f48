package kafkalog

import "context"

// Marks are a process's notes, for the tests outside.
type Marks struct{ marks }

// NewMarks returns none.
func NewMarks() *Marks { return &Marks{marks{writer: make(chan struct{}, 1)}} }

// Note is marks.note.
func (m *Marks) Note(ctx context.Context, partition int32, write func([]int32) error) error {
	return m.note(ctx, partition, write)
}
