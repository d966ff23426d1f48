package enginetest

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/veltrix/veltrix/internal/engine"
)

var numbers = regexp.MustCompile(`"[^"]*"|\d+`)

// reasonOf is a restart's reason without its figures, for counting.
func reasonOf(reason string) string { return numbers.ReplaceAllString(reason, "N") }

// show writes an input or an effect as a reader of a trace wants it.
func show(v any) string {
	name := strings.TrimPrefix(fmt.Sprintf("%T", v), "engine.")
	switch v := v.(type) {
	case engine.Polled:
		var parts []string
		for _, r := range v.Runs {
			if r.Err != nil {
				parts = append(parts, fmt.Sprintf("partition %d: %v", r.Partition, r.Err))
				continue
			}
			parts = append(parts, fmt.Sprintf("partition %d: %s", r.Partition, records(r.Records)))
		}
		return name + " " + strings.Join(parts, ", ")
	case engine.Replayed:
		return fmt.Sprintf("%s partition %d: %s, next %d", name, v.Partition, records(v.Records), v.Next)
	case engine.Produce:
		var parts []string
		for _, o := range v.Outputs {
			parts = append(parts, fmt.Sprintf("%d/%s", o.Partition, o.Value))
		}
		return name + " " + strings.Join(parts, ", ")
	case engine.Flush:
		keys := make([]string, len(v.Move.Values))
		for i := range v.Move.Values {
			keys[i] = v.Move.Values[i].Key
		}
		return fmt.Sprintf("%s partition %d: %d → %d of %s: %v", name, v.Partition, v.Move.From, v.Move.To, v.Move.Generation, keys)
	case engine.Flushed:
		return fmt.Sprintf("%s partition %d: %s", name, v.Partition, meta(v.Meta))
	case engine.MetaRead:
		return fmt.Sprintf("%s partition %d: %s", name, v.Partition, meta(v.Meta))
	case engine.CommittedRead:
		return fmt.Sprintf("%s partition %d: %s", name, v.Partition, committedText(v.Committed))
	case engine.End:
		var parts []string
		for p := range int32(16) { // in order
			if c, ok := v.Offsets[p]; ok {
				parts = append(parts, fmt.Sprintf("%d at %d", p, c.Offset))
			}
		}
		return fmt.Sprintf("%s commit %t: %s", name, v.Commit, strings.Join(parts, ", "))
	case engine.Load:
		var parts []string
		for _, r := range v.Requests {
			parts = append(parts, fmt.Sprintf("partition %d: %v", r.Partition, r.Keys))
		}
		return name + " " + strings.Join(parts, ", ")
	case engine.Loaded:
		var parts []string
		for _, r := range v.Results {
			parts = append(parts, meta(r.Meta))
		}
		if v.Err != nil {
			parts = append(parts, v.Err.Error())
		}
		return name + " " + strings.Join(parts, ", ")
	case engine.ReplayLoaded:
		return fmt.Sprintf("%s partition %d: %s", name, v.Partition, meta(v.Result.Meta))
	case engine.LoadReplay:
		return fmt.Sprintf("%s partition %d: %v", name, v.Request.Partition, v.Request.Keys)
	case engine.Init:
		return fmt.Sprintf("%s partition %d from %d instead of %s", name, v.Partition, v.Start, meta(v.Old))
	}
	if text, ok := showWhole(name, v); ok {
		return text
	}
	return fmt.Sprintf("%s%+v", name, v)
}

// showWhole writes what is about all values of a partition.
func showWhole(name string, v any) (string, bool) {
	switch v := v.(type) {
	case engine.SnapshotFound:
		if v.Snapshot == nil {
			return fmt.Sprintf("%s partition %d: none", name, v.Partition), true
		}
		return fmt.Sprintf("%s partition %d: %s", name, v.Partition, snapshot(*v.Snapshot)), true
	case engine.Restore:
		return fmt.Sprintf("%s partition %d: %s instead of %s", name, v.Partition, snapshot(v.Snapshot), meta(v.Old)), true
	case engine.Scan:
		return fmt.Sprintf("%s partition %d at %s, save %t", name, v.Partition, meta(v.Meta), v.Save), true
	case engine.Scanned:
		if v.Err != nil {
			return fmt.Sprintf("%s partition %d: %v", name, v.Partition, v.Err), true
		}
		return fmt.Sprintf("%s partition %d: %s, %d participants, digest %x", name, v.Partition, meta(v.Meta), v.Participants, v.Digest), true
	case engine.Save:
		return fmt.Sprintf("%s partition %d: %s", name, v.Partition, snapshot(v.Snapshot)), true
	case engine.Saved:
		if v.Err != nil {
			return fmt.Sprintf("%s partition %d: %v", name, v.Partition, v.Err), true
		}
		return fmt.Sprintf("%s partition %d: %s", name, v.Partition, snapshot(v.Snapshot)), true
	}
	return "", false
}

func snapshot(s engine.Snapshot) string {
	return strings.TrimSpace(fmt.Sprintf("%d participants at %d, digest %x %s", s.Participants, s.Offset, s.Digest, s.ID))
}

func committedText(c engine.Committed) string {
	if c.Absent {
		return fmt.Sprintf("nothing committed (initialized %t), log [%d, %d)", c.Initialized, c.LogStart, c.LogEnd)
	}
	stamp := "stamped"
	if _, err := engine.ParseStamp(c.Metadata); err != nil {
		stamp = "without a stamp"
	}
	return fmt.Sprintf("K %d, %s, log [%d, %d)", c.Offset, stamp, c.LogStart, c.LogEnd)
}

func records(rs []engine.Record) string {
	var b strings.Builder
	for i := range rs {
		fmt.Fprintf(&b, " %d:%s=%s", rs[i].Offset, rs[i].Key, rs[i].Value)
	}
	return strings.TrimSpace(b.String())
}

func meta(m engine.Meta) string {
	switch {
	case !m.Exists:
		return "no meta"
	case !m.Intact:
		return fmt.Sprintf("R %d of %s, a bucket lost", m.Applied, m.Generation)
	}
	return fmt.Sprintf("R %d of %s", m.Applied, m.Generation)
}
