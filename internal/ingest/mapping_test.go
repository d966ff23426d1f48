package ingest_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/wire"
)

func mapping(t *testing.T, src string) *ingest.Mapping {
	t.Helper()
	m, err := ingest.ParseMapping([]byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const results = `
delimiter: ";"
type: clue.found
source: /import
id: {columns: [Team, Nr]}
participant: {column: Team}
time: {column: When, format: "02.01.2006 15:04", zone: Europe/Berlin}
data:
  clue: {column: Clue}
  points: {column: Points}
`

// TestLoadCSV reads rows by a mapping: quoted cells, empty ones, and rows that
// are no events, each with its line. Loading them again gives the same events.
func TestLoadCSV(t *testing.T) {
	const rows = "\ufeffNr;Team;When;Clue;Points;Notes\r\n" +
		"1;owls;01.05.2026 14:00;mast;50;\r\n" +
		"2;owls;01.05.2026 14:05;\"an; \"\"old\"\"\nbell\";;two lines\r\n" +
		"3;owls;yesterday;mast;1;\n" +
		"4;owls;01.05.2026 14:06;mast;many;\n" +
		"5;owls\n" +
		"6;;01.05.2026 14:07;mast;1;\n" +
		"7;owls;01.05.2026 14:08;a clue of more than sixteen bytes;1;\n" +
		"8;newts;;mast;60;\n"
	var first []wire.Record
	for range 2 {
		l := &log{}
		var bad []string
		result, err := ingest.Load(t.Context(), strings.NewReader(rows), l, ingest.LoadOptions{
			Schema: harbour(), Mapping: mapping(t, results),
			Bad: func(f ingest.Fault) { bad = append(bad, fmt.Sprintf("%d %s", f.Line, f.Field)) },
		})
		if err != nil {
			t.Fatal(err)
		}
		if result.Lines != 8 || result.Loaded != 3 || result.Bytes != int64(len(rows)) {
			t.Errorf("%+v of %d bytes", result, len(rows))
		}
		if got := strings.Join(bad, ", "); got != "5 time, 6 data.points, 7 , 8 id, 9 data.clue" {
			t.Errorf("bad rows: %s", got)
		}
		if l.ids() != "owls-1 owls-2 newts-8" {
			t.Errorf("events: %s", l.ids())
		}
		if first == nil {
			first = l.records
			continue
		}
		for i := range 2 { // the third has no time, and is stamped
			if fmt.Sprint(first[i]) != fmt.Sprint(l.records[i]) {
				t.Errorf("loaded again, a row is another event:\n%v\n%v", first[i], l.records[i])
			}
		}
	}
	if v := string(first[0].Value); v != `{"clue":"mast","points":50}` {
		t.Errorf("the data is %s", v)
	}
	if v := string(first[1].Value); v != `{"clue":"an; \"old\"\nbell"}` {
		t.Errorf("the data is %s", v)
	}
	if at := string(first[0].Header("ce_time")); at != "2026-05-01T12:00:00.000000Z" {
		t.Errorf("the time is %s", at)
	}
}

// TestCSVCells holds what each kind of cell becomes, without rules.
func TestCSVCells(t *testing.T) {
	for _, test := range []struct{ cell, text, want string }{
		{"{column: c}", "007", `"007"`},
		{"{column: c, type: int}", "-7", "-7"},
		{"{column: c, type: int}", "7.0", ""},
		{"{column: c, type: number}", "12.50", "12.50"},
		{"{column: c, type: number}", "12,5", ""},
		{"{column: c, type: number}", "NaN", ""},
		{"{column: c, type: bool}", "Yes", "true"},
		{"{column: c, type: bool}", "0", "false"},
		{"{column: c, type: bool}", "perhaps", ""},
		{"{column: c, type: time}", "2026-05-01T14:00:00+02:00", `"2026-05-01T12:00:00Z"`},
		{"{column: c, type: time, format: unix}", "1777636800.5", `"2026-05-01T12:00:00.5Z"`},
		{"{column: c, type: time, format: unix_ms}", "1777636800001", `"2026-05-01T12:00:00.001Z"`},
		{"{column: c, type: time}", "noon", ""},
		{"a word", "ignored", `"a word"`},
		{"{columns: [c, n]}", "x", `"x-1"`},
	} {
		l := &log{}
		m := mapping(t, "type: x\nsource: /s\nid: {column: n}\nparticipant: ada\ndata: {f: "+test.cell+"}\n")
		_, err := ingest.Load(t.Context(), strings.NewReader("n,c\n1,\""+test.text+"\"\n"), l, ingest.LoadOptions{Mapping: m})
		got := ""
		if len(l.records) == 1 {
			got = strings.TrimSuffix(strings.TrimPrefix(string(l.records[0].Value), `{"f":`), "}")
		}
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%s of %q is %s, want %s (%v)", test.cell, test.text, got, test.want, err)
		}
	}
}

// TestBadMappings holds what is said of mappings that cannot be used.
func TestBadMappings(t *testing.T) {
	const good = "type: x\nsource: /s\nid: {column: n}\nparticipant: {column: p}\n"
	for src, want := range map[string]string{
		"source: /s\n":                                             "it says no type",
		good + "tme: {column: t}\n":                                "tme not found",
		good + "time: {colum: t}\n":                                `unknown key "colum"`,
		good + "time: {format: unix}\n":                            "name a column",
		good + "delimiter: ';;'\n":                                 "more than one character",
		good + "data: {a: {column: a, type: text}}\n":              `the type is "text"`,
		good + "time: {column: t, zone: Europe/Nowhere}\n":         "unknown time zone",
		"type: x\nsource: /s\nid: one\nparticipant: {column: p}\n": "the id must come from columns",
	} {
		if _, err := ingest.ParseMapping([]byte(src)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("of\n%sit says %v, want %q", src, err, want)
		}
	}
	_, err := ingest.Load(t.Context(), strings.NewReader("Nr,Team\n1,owls\n"), &log{}, ingest.LoadOptions{Mapping: mapping(t, results)})
	if err == nil || !strings.Contains(err.Error(), `a column "Team", and the first row has Nr,Team`) {
		t.Errorf("with the wrong delimiter: %v", err)
	}
}

// TestLoadAtTheirOwnPace sends events of three moments, apart at the speed
// asked for, and together without it.
func TestLoadAtTheirOwnPace(t *testing.T) {
	var b strings.Builder
	for i := range 9 {
		at := noon.Add(time.Duration(i/3) * time.Minute).Format(time.RFC3339)
		fmt.Fprintf(&b, `{"specversion":"1.0","id":"%d","source":"/s","type":"clue.found","time":%q,"partitionkey":"ada","data":{"clue":"x"}}`+"\n", i, at)
	}
	for speed, calls := range map[float64]int{0: 1, 1000: 3, 1e9: 1} {
		l := &log{}
		if _, err := ingest.Load(t.Context(), strings.NewReader(b.String()), l, ingest.LoadOptions{Speed: speed}); err != nil {
			t.Fatal(err)
		}
		if l.calls != calls || l.ids() != "0 1 2 3 4 5 6 7 8" {
			t.Errorf("with speed %v, %d requests, want %d: %s", speed, l.calls, calls, l.ids())
		}
	}
}

// TestGuideMapping reads the mapping that docs/ingest.md shows.
func TestGuideMapping(t *testing.T) {
	guide, err := os.ReadFile("../../docs/ingest.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(guide), "```yaml mapping\n")
	src, _, _ := strings.Cut(rest, "```")
	l := &log{}
	_, err = ingest.Load(t.Context(), strings.NewReader("nr;team;found_at;clue;points\n1;owls;01.05.2026 14:00;mast;50\n"), l, ingest.LoadOptions{Mapping: mapping(t, src)})
	if err != nil || !found || l.ids() != "owls-1" || string(l.records[0].Value) != `{"clue":"mast","points":50}` {
		t.Errorf("%v: %s", err, l.ids())
	}
}
