package bench

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// TestPlots holds plots against files that were looked at.
func TestPlots(t *testing.T) {
	parts := []string{"this process", "broker", "Redis"}
	for name, got := range map[string]string{
		"bars": string(barPlot("a", "Events a second", "loop: 2,000,000.", []string{"events/s"}, []bar{
			{Label: "bare consume loop", Parts: []float64{2_043_937}, Low: 1_864_170, High: 2_114_663, Text: "2,043,937"},
			{Label: "processor", Parts: []float64{168_606}, Low: 165_548, High: 183_580, Text: "168,606"},
		})),
		"stacked": string(barPlot("b", "CPU <time>", `of "each" & all`, parts, []bar{
			{Label: "tail 2", Parts: []float64{8138, 1523, 1497}, Text: "11,158"},
			{Label: "<tail> 16", Parts: []float64{15488, 0, 7257}, Text: "22,745"},
		})),
		"doublings": string(linePlot("c", "CPU by doublings", "a line", []float64{10_000, 100_000, 1_000_000}, []string{"10,000", "100,000", "1,000,000"}, true, []curve{
			{"own", []mark{{8000, 7900, 8200}, {8500, 8400, 8600}, {9000, 8800, 9300}}},
			{},
			{"Redis", []mark{{1500, 1500, 1500}, {1500, 1400, 1600}, {1700, 1700, 1700}}},
		}, []float64{8000, 9000})),
		"units": string(linePlot("d", "CPU by units", "a line", []float64{1.9, 15.5, 112}, []string{"2", "16", "128"}, false, []curve{
			{"own", []mark{{8000, 7900, 8200}, {8500, 8400, 8600}, {16000, 15000, 17000}}},
		}, nil)),
		"nothing": string(barPlot("e", "Nothing", "", parts, nil)),
	} {
		golden := filepath.Join("testdata", "plot_"+name+".svg")
		if *rewrite {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is not as it was looked at (go test ./internal/bench -run TestPlots -rewrite):\n%s", name, got)
		}
		wellFormed(t, got)
	}
}

// wellFormed parses markup, and returns its elements' names in their order.
func wellFormed(t *testing.T, markup string) (names []string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(markup)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, markup)
		}
		if e, is := token.(xml.StartElement); is {
			names = append(names, e.Name.Local)
		}
	}
}

// TestBarsAreAsLongAsTheirValues, behind each other and within the plot.
func TestBarsAreAsLongAsTheirValues(t *testing.T) {
	got := string(barPlot("a", "t", "d", []string{"x", "y"}, []bar{{Label: "b", Parts: []float64{25, 75}, Text: "100"}}))
	for _, want := range []string{
		`<rect class="s0" x="190" y="44" width="112.5" height="18"/>`,
		`<rect class="s1" x="302.5" y="44" width="337.5" height="18"/>`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %s in:\n%s", want, got)
		}
	}
}

func TestRoundTicks(t *testing.T) {
	for largest, want := range map[float64][]float64{
		0:          {0, 0.2, 0.4, 0.6, 0.8, 1},
		math.NaN(): {0, 0.2, 0.4, 0.6, 0.8, 1},
		100:        {0, 20, 40, 60, 80, 100},
		101:        {0, 20, 40, 60, 80, 100, 120},
		2_114_663:  {0, 500_000, 1_000_000, 1_500_000, 2_000_000, 2_500_000},
	} {
		got := roundTicks(largest)
		if len(got) != len(want) {
			t.Errorf("%f: %v, want %v", largest, got, want)
			continue
		}
		for i := range got {
			if math.Abs(got[i]-want[i]) > 1e-9 {
				t.Errorf("%f: %v, want %v", largest, got, want)
				break
			}
		}
	}
}
