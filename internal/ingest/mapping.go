package ingest

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/wire"
)

// Mapping says how a row of a CSV file becomes an event. The file's first row
// names its columns.
type Mapping struct {
	Delimiter   string           `yaml:"delimiter"` // one character; left out: a comma
	Type        Cell             `yaml:"type"`
	Source      Cell             `yaml:"source"`
	ID          Cell             `yaml:"id"`
	Participant Cell             `yaml:"participant"`
	Time        *Cell            `yaml:"time"`
	Data        map[string]*Cell `yaml:"data"`
}

// Cell is where a value comes from: a text, a column, or several columns joined
// by a hyphen.
type Cell struct {
	Value   string
	Columns []string
	// Type is what a field of the data becomes: string, int, number, bool or
	// time. Left out, it is what the rules say, or else a string.
	Type string
	// Format of a time: rfc3339 (where left out), unix, unix_ms, or a layout of
	// Go's package time. Zone is where it was written down without one.
	Format, Zone string

	zone *time.Location
}

// UnmarshalYAML takes a text as the value itself.
func (c *Cell) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		c.Value = n.Value
		return nil
	}
	var long struct {
		Column  string   `yaml:"column"`
		Columns []string `yaml:"columns"`
		Type    string   `yaml:"type"`
		Format  string   `yaml:"format"`
		Zone    string   `yaml:"zone"`
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if known := []string{"column", "columns", "type", "format", "zone"}; !slices.Contains(known, n.Content[i].Value) {
			return fmt.Errorf("line %d: unknown key %q (known: %s)", n.Content[i].Line, n.Content[i].Value, strings.Join(known, ", "))
		}
	}
	if err := n.Decode(&long); err != nil {
		return err
	}
	c.Columns = long.Columns
	if long.Column != "" {
		c.Columns = append(c.Columns, long.Column)
	}
	if len(c.Columns) == 0 || long.Column != "" && len(long.Columns) > 0 {
		return fmt.Errorf("line %d: name a column, or several columns", n.Line)
	}
	c.Type, c.Format, c.Zone = long.Type, long.Format, long.Zone
	return nil
}

// ParseMapping reads a mapping file.
func ParseMapping(src []byte) (*Mapping, error) {
	var m Mapping
	d := yaml.NewDecoder(bytes.NewReader(src))
	d.KnownFields(true)
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("read the mapping: %w", err)
	}
	for _, part := range []struct {
		name string
		cell *Cell
	}{{"type", &m.Type}, {"source", &m.Source}, {"id", &m.ID}, {"participant", &m.Participant}} {
		if part.cell.Value == "" && len(part.cell.Columns) == 0 {
			return nil, fmt.Errorf("read the mapping: it says no %s: a text, or {column: …}", part.name)
		}
	}
	if len(m.ID.Columns) == 0 {
		return nil, errors.New("read the mapping: the id must come from columns: with one and the same id, all rows are one event")
	}
	if utf8.RuneCountInString(m.Delimiter) > 1 {
		return nil, fmt.Errorf("read the mapping: the delimiter %q is more than one character", m.Delimiter)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Data)) {
		if err := m.Data[name].check(); err != nil {
			return nil, fmt.Errorf("read the mapping: data.%s: %w", name, err)
		}
	}
	if m.Time != nil {
		if err := m.Time.check(); err != nil {
			return nil, fmt.Errorf("read the mapping: time: %w", err)
		}
	}
	return &m, nil
}

func (c *Cell) check() (err error) {
	if known := []string{"", "string", "int", "number", "bool", "time"}; !slices.Contains(known, c.Type) {
		return fmt.Errorf("the type is %q: write string, int, number, bool or time", c.Type)
	}
	c.zone = time.UTC
	if c.Zone != "" {
		c.zone, err = time.LoadLocation(c.Zone)
	}
	return err
}

// columns are all that the mapping needs.
func (m *Mapping) columns() (all []string) {
	cells := []*Cell{&m.Type, &m.Source, &m.ID, &m.Participant}
	if m.Time != nil {
		cells = append(cells, m.Time)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Data)) {
		cells = append(cells, m.Data[name])
	}
	for _, c := range cells {
		all = append(all, c.Columns...)
	}
	return all
}

// csvLines reads rows by a mapping.
type csvLines struct {
	m      *Mapping
	schema *participant.Schema // nil: none
	rows   *csv.Reader
	at     map[string]int // by column; nil before the first row
}

func newCSVLines(r io.Reader, m *Mapping, s *participant.Schema) *csvLines {
	rows := csv.NewReader(r)
	rows.ReuseRecord = true
	if m.Delimiter != "" {
		rows.Comma, _ = utf8.DecodeRuneInString(m.Delimiter)
	}
	return &csvLines{m: m, schema: s, rows: rows}
}

func (l *csvLines) bytes() int64 { return l.rows.InputOffset() }

func (l *csvLines) next(ce *wire.CloudEvent) (int, *wire.Problem, error) {
	if l.at == nil {
		if err := l.header(); err != nil {
			return 0, nil, err
		}
	}
	row, err := l.rows.Read()
	var wrong *csv.ParseError
	switch {
	case errors.As(err, &wrong):
		// The row is lost, and the next one is not.
		return wrong.StartLine, bad("", "the row cannot be read: "+wrong.Err.Error()), nil
	case errors.Is(err, io.EOF):
		return 0, nil, io.EOF
	case err != nil:
		return 0, nil, fmt.Errorf("read rows: %w", err)
	}
	line, _ := l.rows.FieldPos(0)
	return line, l.event(row, ce), nil
}

func (l *csvLines) header() error {
	row, err := l.rows.Read()
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	if err != nil {
		return fmt.Errorf("read the names of the columns: %w", err)
	}
	names := slices.Clone(row)
	names[0] = strings.TrimPrefix(names[0], "\ufeff")
	l.at = map[string]int{}
	for i, name := range names {
		l.at[strings.TrimSpace(name)] = i
	}
	for _, name := range l.m.columns() {
		if _, ok := l.at[name]; !ok {
			return fmt.Errorf("the mapping names a column %q, and the first row has %s (is the delimiter right?)", name, strings.Join(names, ", "))
		}
	}
	return nil
}

// text returns a cell's value in a row; found is false where a column is empty.
func (l *csvLines) text(c *Cell, row []string) (text string, found bool) {
	if len(c.Columns) == 0 {
		return c.Value, true
	}
	var parts []string
	for _, name := range c.Columns {
		part := strings.TrimSpace(row[l.at[name]])
		if part == "" {
			return "", false
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "-"), true
}

func (l *csvLines) event(row []string, ce *wire.CloudEvent) *wire.Problem {
	*ce = wire.CloudEvent{}
	for _, part := range []struct {
		name string
		cell *Cell
		to   *string
	}{{"type", &l.m.Type, &ce.Type}, {"source", &l.m.Source, &ce.Source}, {"id", &l.m.ID, &ce.ID}, {"partitionkey", &l.m.Participant, &ce.Participant}} {
		text, found := l.text(part.cell, row)
		if !found {
			return bad(part.name, "the column of its "+part.name+" is empty")
		}
		if !utf8.ValidString(text) {
			return bad(part.name, "its "+part.name+" is not UTF-8 text")
		}
		*part.to = text
	}
	if l.m.Time != nil {
		if text, found := l.text(l.m.Time, row); found {
			at, err := l.m.Time.time(text)
			if err != nil {
				return bad("time", "its time "+strconv.QuoteToGraphic(cut(text))+" is not of the form that the mapping says")
			}
			ce.Time = at
		}
	}
	data, wrong := l.data(row, ce.Type)
	ce.Data = data
	return wrong
}

// data writes the fields in the order of their names, so that the same row is
// the same event.
func (l *csvLines) data(row []string, kind string) ([]byte, *wire.Problem) {
	b := []byte{'{'}
	for _, name := range slices.Sorted(maps.Keys(l.m.Data)) {
		c := l.m.Data[name]
		text, found := l.text(c, row)
		if !found {
			continue // an empty cell is an absent field
		}
		if !utf8.ValidString(text) {
			return nil, bad("data."+name, "its field "+name+" is not UTF-8 text")
		}
		value, err := c.json(text, l.kindOf(kind, name))
		if err != nil {
			return nil, bad("data."+name, "its field "+name+" is "+strconv.QuoteToGraphic(cut(text))+": "+err.Error())
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(append(b, quoteJSON(name)...), ':'), value...)
	}
	return append(b, '}'), nil
}

// kindOf is what the rules declare a field as; string where they do not.
func (l *csvLines) kindOf(kind, name string) string {
	if l.schema == nil {
		return "string"
	}
	at := l.schema.TypeIndex(kind)
	if at < 0 {
		return "string"
	}
	for i := range l.schema.Types[at].Fields {
		if f := &l.schema.Types[at].Fields[i]; f.Name == name {
			return f.Kind.String()
		}
	}
	return "string"
}

var csvNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

func (c *Cell) json(text, declared string) ([]byte, error) {
	kind := c.Type
	if kind == "" {
		kind = declared
	}
	switch kind {
	case "int":
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return strconv.AppendInt(nil, n, 10), nil
		}
		return nil, errors.New("an int has only digits")
	case "number":
		if csvNumber.MatchString(text) {
			return []byte(text), nil
		}
		return nil, errors.New("a number is written as 12.5")
	case "bool":
		switch strings.ToLower(text) {
		case "true", "yes", "1":
			return []byte("true"), nil
		case "false", "no", "0":
			return []byte("false"), nil
		}
		return nil, errors.New("a bool is true or false, yes or no, 1 or 0")
	case "time":
		at, err := c.time(text)
		if err != nil {
			return nil, errors.New("it is not of the form that the mapping says")
		}
		return quoteJSON(at.UTC().Format(time.RFC3339Nano)), nil
	}
	return quoteJSON(text), nil
}

func (c *Cell) time(text string) (time.Time, error) {
	switch c.Format {
	case "", "rfc3339":
		return time.Parse(time.RFC3339Nano, text)
	case "unix":
		seconds, err := strconv.ParseFloat(text, 64)
		return time.UnixMicro(int64(seconds * 1e6)).UTC(), err
	case "unix_ms":
		ms, err := strconv.ParseInt(text, 10, 64)
		return time.UnixMilli(ms).UTC(), err
	}
	return time.ParseInLocation(c.Format, text, c.zone)
}

func quoteJSON(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string has a form
	}
	return b
}
