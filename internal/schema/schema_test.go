package schema_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/veltrix/veltrix/examples"
	"github.com/veltrix/veltrix/internal/engine"
	"github.com/veltrix/veltrix/internal/fold"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/rules"
	"github.com/veltrix/veltrix/internal/schema"
	"github.com/veltrix/veltrix/internal/wire"
)

// hunts are the examples' rules files.
func hunts(t *testing.T) map[string]*rules.Program {
	t.Helper()
	files, err := filepath.Glob("../../examples/*/rules.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d rules files: %v", len(files), err)
	}
	all := map[string]*rules.Program{}
	for _, file := range files {
		if all[file], err = rules.LoadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	slashed, err := rules.Load("rules.yaml", []byte("hunt: slashed\nversion: 1\nevents: {shop/item.bought: {data: {n: {type: int}}}}\n"+
		"state: {n: {type: int}}\nrules:\n  - {name: r, on: shop/item.bought, set: {n: event.data.n}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	all["a type with a slash in its name"] = slashed
	return all
}

func compile(t *testing.T, document any) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("document.json", plain(t, document)); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("document.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// plain is a document as a reader of its JSON has it.
func plain(t *testing.T, document any) any {
	t.Helper()
	b, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	read, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// TestDocumentsAreValid holds the documents of all examples against AsyncAPI's
// own parser and OpenAPI's own schemas, and sees those refuse broken ones.
func TestDocumentsAreValid(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, document map[string]any) string {
		b, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var good, broken []string
	for _, program := range hunts(t) {
		s := program.Schema()
		async, open := schema.AsyncAPI(s, "veltrix"), schema.OpenAPI(s, "http://localhost:8080")
		good = append(good, write(s.Hunt+".asyncapi.json", async), write(s.Hunt+".openapi.json", open))
		delete(async, "info")
		delete(open, "info")
		broken = append(broken, write(s.Hunt+".broken-asyncapi.json", async), write(s.Hunt+".broken-openapi.json", open))
		compile(t, schema.Events(s))
		for i := range s.Types {
			compile(t, schema.Event(s, &s.Types[i]))
		}
	}
	if said, err := validate(t, good...); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	for _, file := range broken {
		if said, err := validate(t, file); err == nil || !strings.Contains(said, file) {
			t.Errorf("a document without info passes: %v, %s", err, said)
		}
	}
}

func validate(t *testing.T, files ...string) (string, error) {
	t.Helper()
	modules, err := filepath.Abs("../../.cache/validators/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(modules); err != nil {
		t.Fatalf("the validators are not there (%v): run make setup", err)
	}
	cmd := exec.CommandContext(t.Context(), "node", append([]string{"../../test/validators/validate.mjs"}, files...)...)
	cmd.Env = append(os.Environ(), "NODE_MODULES="+modules)
	said, err := cmd.CombinedOutput()
	return string(said), err
}

// TestSchemasTakeWhatTheFoldTakes sends what the examples send, and the same
// with its data changed: what the decoder takes, the schema takes.
func TestSchemasTakeWhatTheFoldTakes(t *testing.T) {
	for _, name := range examples.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, lines, _, err := examples.Sorted(name)
			if err != nil {
				t.Fatal(err)
			}
			defer lines.Close()
			program, err := rules.Load("rules.yaml", source)
			if err != nil {
				t.Fatal(err)
			}
			s := program.Schema()
			events := compile(t, schema.Events(s))
			chance := rand.New(rand.NewPCG(1, 2))
			taken, refused, both := 0, 0, 0
			scan := bufio.NewScanner(lines)
			for n := 0; n < 3000 && scan.Scan(); n++ {
				line := bytes.Clone(scan.Bytes())
				for range 3 {
					accepted, valid := accepts(t, s, line), events.Validate(decode(t, line))
					switch {
					case accepted && valid != nil:
						t.Fatalf("the decoder takes it and the schema does not: %v\n%s", valid, line)
					case accepted:
						taken++
					default:
						if refused++; valid != nil {
							both++
						}
					}
					line = changed(t, chance, line)
				}
			}
			if taken < 3000 || both < 1000 || both*10 < refused*8 {
				t.Errorf("%d taken, %d refused, %d of them by both: the changes show little", taken, refused, both)
			}
		})
	}
}

func decode(t *testing.T, line []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// accepts says whether a processor would fold the event.
func accepts(t *testing.T, s *participant.Schema, line []byte) bool {
	t.Helper()
	var ce wire.CloudEvent
	if p := wire.ParseCloudEvent(line, &ce); p != nil {
		return false
	}
	key, value, headers := wire.EventRecord(&ce)
	var e participant.Event
	return wire.DecodeEvent(&wire.Record{Key: key, Value: value, Headers: headers, Timestamp: ce.Time.UnixMicro()}, s, &e) == nil
}

// changed puts another value in the place of one of the event's fields, or
// takes it away.
func changed(t *testing.T, chance *rand.Rand, line []byte) []byte {
	t.Helper()
	event := decode(t, line).(map[string]any)
	data, ok := event["data"].(map[string]any)
	if !ok {
		return line
	}
	values := []any{nil, true, "", "x", strings.Repeat("long", 100), json.Number("-1"), json.Number("0"), json.Number("7"), json.Number("0.5"), json.Number("1e6"), []any{}, map[string]any{}}
	names := make([]string, 0, len(data))
	for name := range data {
		names = append(names, name)
	}
	if len(names) == 0 {
		return line
	}
	name := names[chance.IntN(len(names))]
	if i := chance.IntN(len(values) + 1); i == len(values) {
		delete(data, name)
	} else {
		data[name] = values[i]
	}
	b, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestOutputsFitTheirSchemas folds the hunt, with some events spoiled, and holds
// every notification, rejection and state against what the documents say.
func TestOutputsFitTheirSchemas(t *testing.T) {
	source, lines, _, err := examples.Open("harbour")
	if err != nil {
		t.Fatal(err)
	}
	defer lines.Close()
	program, err := rules.Load("rules.yaml", source)
	if err != nil {
		t.Fatal(err)
	}
	s := program.Schema()
	components := schema.AsyncAPI(s, "veltrix")["components"].(map[string]any)["messages"].(map[string]any)
	payload := func(name string) *jsonschema.Schema { return compile(t, components[name].(map[string]any)["payload"]) }
	headers := func(name string) *jsonschema.Schema { return compile(t, components[name].(map[string]any)["headers"]) }
	of := map[engine.Topic][2]*jsonschema.Schema{
		engine.Notifications: {payload(wire.NotificationType), headers(wire.NotificationType)},
		engine.Rejected:      {payload(wire.RejectedType), headers(wire.RejectedType)},
	}
	states := compile(t, schema.OpenAPI(s, "http://localhost")["components"].(map[string]any)["schemas"].(map[string]any)["State"])
	oracle := fold.NewOracle(fold.New(program, 1), 0)
	chance := rand.New(rand.NewPCG(3, 4))
	seen := map[engine.Topic]int{}
	scan := bufio.NewScanner(lines)
	for offset := int64(0); scan.Scan() && offset < 4000; offset++ {
		line := scan.Bytes()
		if chance.IntN(10) == 0 {
			line = changed(t, chance, line)
		}
		outputs, err := oracle.Feed(recordOf(t, line, offset))
		if err != nil {
			t.Fatal(err)
		}
		for i := range outputs {
			seen[outputs[i].Topic]++
			fits(t, of[outputs[i].Topic], &outputs[i])
		}
	}
	for who := range oracle.States() {
		if err := states.Validate(plain(t, wire.StateJSON(oracle.State(who).Head, s))); err != nil {
			t.Errorf("the state of %s: %v", who, err)
		}
	}
	if seen[engine.Notifications] < 300 || seen[engine.Rejected] < 100 {
		t.Errorf("%d outputs were looked at", seen)
	}
}

// recordOf is a line as it stands in the log, in structured mode where it is
// too spoiled for a gateway.
func recordOf(t *testing.T, line []byte, offset int64) *wire.Record {
	t.Helper()
	var ce wire.CloudEvent
	if p := wire.ParseCloudEvent(line, &ce); p != nil {
		return &wire.Record{Offset: offset, Key: []byte("x"), Value: line, Headers: []wire.Header{{Key: "content-type", Value: []byte("application/cloudevents+json")}}}
	}
	key, value, headers := wire.EventRecord(&ce)
	return &wire.Record{Offset: offset, Timestamp: ce.Time.UnixMicro(), Key: key, Value: value, Headers: headers}
}

func fits(t *testing.T, schemas [2]*jsonschema.Schema, o *engine.Output) {
	t.Helper()
	if err := schemas[0].Validate(decode(t, o.Value)); err != nil {
		t.Errorf("%v\n%s", err, o.Value)
	}
	headers := map[string]any{}
	for _, h := range o.Headers {
		headers[h.Key] = string(h.Value)
	}
	if err := schemas[1].Validate(headers); err != nil {
		t.Errorf("%v\n%s", err, fmt.Sprint(headers))
	}
}
