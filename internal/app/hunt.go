package app

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/examples"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/rules"
	"github.com/veltrix/veltrix/internal/service"
)

// hunt is what veltrix up plays: an example, or rules of one's own without input.
type hunt struct {
	name    string // of its data directory, and of its load
	program participant.Program
	events  io.ReadCloser
	count   int
	// tryType and tryData are an event that the rules take.
	tryType, tryData string
}

// openHunt opens the configured rules file, or the example.
func openHunt(cfg *config.Config, example string) (*hunt, error) {
	if cfg.Rules.File != "" {
		program, err := LoadRules(cfg)
		if err != nil {
			return nil, err
		}
		s := program.Schema()
		h := &hunt{program: program, events: io.NopCloser(strings.NewReader(""))}
		// Rules that have been edited begin anew, beside what was played before.
		h.name = fmt.Sprintf("%s-%.8s", s.Hunt, s.Digest)
		h.tryType, h.tryData = sampleEvent(s)
		return h, nil
	}
	e, err := examples.Find(example)
	if err != nil {
		return nil, service.WithExitCode(err, service.ExitConfig)
	}
	source, events, count, err := examples.Open(example)
	if err != nil {
		return nil, err
	}
	program, err := rules.Load(example+"/rules.yaml", source)
	if err != nil {
		return nil, err
	}
	return &hunt{example, program, events, count, e.TryType, e.TryData}, nil
}

// try is an event for a participant, as JSON.
func (h *hunt) try(who string) string {
	id := "try-" + time.Now().UTC().Format("150405")
	return fmt.Sprintf(`{"specversion":"1.0","id":"%s","source":"/curl","type":"%s","time":"%s","partitionkey":"%s","data":%s}`,
		id, h.tryType, time.Now().UTC().Format(time.RFC3339), who, h.tryData)
}

// sampleEvent returns the type and the data of an event that fits the contract.
func sampleEvent(s *participant.Schema) (kind, data string) {
	if len(s.Types) == 0 {
		return "anything", "{}"
	}
	t := &s.Types[0]
	fields := map[string]any{}
	for i := range t.Fields {
		f := &t.Fields[i]
		fields[f.Name] = sampleOf(f)
	}
	b, err := json.Marshal(fields)
	if err != nil {
		panic(err) // texts, numbers and bools
	}
	return t.Name, string(b)
}

// sampleOf is a value that a field takes.
func sampleOf(f *participant.Field) any {
	switch {
	case len(f.Enum) > 0:
		return f.Enum[0]
	case f.Kind == participant.KindString:
		return "text"[:min(4, f.BytesMax)]
	case f.Kind == participant.KindBool:
		return true
	case f.Kind == participant.KindTime:
		return time.Now().UTC().Format(time.RFC3339)
	}
	n := 10.0
	if f.HasMin {
		n = max(n, f.Min)
	}
	if f.HasMax {
		n = min(n, f.Max)
	}
	if f.Kind == participant.KindInt {
		return int64(n)
	}
	return n
}
