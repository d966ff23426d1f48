package preflight

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The elements that readers of JUnit's XML agree on.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string     `xml:"classname,attr"`
		Name    string     `xml:"name,attr"`
		Time    string     `xml:"time,attr"`
		Failure *junitText `xml:"failure"`
		Error   *junitText `xml:"error"`
		Skipped *junitText `xml:"skipped"`
		Out     string     `xml:"system-out,omitempty"`
	}
	junitText struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the report as the XML that build servers read: a case for
// each check. What could not be seen is an error, what is waived or does not
// apply is skipped, and a warning is a pass that says something.
func (r Report) WriteJUnit(w io.Writer) error {
	suite := junitSuite{Name: "veltrix doctor", Tests: len(r.Results)}
	var total int64
	for i := range r.Results {
		x := &r.Results[i]
		total = max(total, x.Millis) // they ran side by side
		c := junitCase{Class: "veltrix.doctor", Name: x.ID + " " + x.Title, Time: seconds(x.Millis)}
		switch {
		case x.Waived != "":
			suite.Skipped++
			c.Skipped = &junitText{Message: fmt.Sprintf("waived until %s: %s", x.Until, x.Waived)}
		case x.State == Fail:
			suite.Failures++
			c.Failure = &junitText{Message: x.Observed, Type: string(x.Severity), Text: words(x)}
		case x.State == Unknown:
			suite.Errors++
			c.Error = &junitText{Message: x.Observed, Type: string(x.State), Text: words(x)}
		case x.State == Skip:
			suite.Skipped++
			c.Skipped = &junitText{Message: x.Observed}
		default:
			c.Out = words(x)
		}
		suite.Cases = append(suite.Cases, c)
	}
	suite.Time = seconds(total)
	all := junitSuites{Name: suite.Name, Tests: suite.Tests, Failures: suite.Failures, Errors: suite.Errors, Time: suite.Time, Suites: []junitSuite{suite}}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func words(x *Result) string {
	var b strings.Builder
	writeResult(&b, x, true)
	if x.Missing != "" {
		b.WriteString(x.Observed)
	}
	return b.String()
}

func seconds(ms int64) string { return fmt.Sprintf("%.3f", float64(ms)/1000) }
