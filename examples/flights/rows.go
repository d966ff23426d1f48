package flights

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

var columns = []string{
	"year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "arr_delay",
	"carrier", "flight", "tailnum", "origin", "dest", "air_time", "distance",
}

// row is one flight. A number that the file does not give has its has… false.
type row struct {
	day, planned                          time.Time
	depTime, schedDep, depDelay           int
	arrTime, arrDelay                     int
	hasDep, hasArr, hasArrDelay, hasInAir bool
	airTime, distance, flight             int
	carrier, tail, origin, dest           string
}

// number reads a cell; ok is false where it holds no value.
func number(cell string) (n int, ok bool, err error) {
	if absent(cell) {
		return 0, false, nil
	}
	// Some exports of the same data write whole numbers as 517.0.
	f, err := strconv.ParseFloat(cell, 64)
	if err != nil || f != float64(int(f)) {
		return 0, false, fmt.Errorf("%q is no whole number", cell)
	}
	return int(f), true, nil
}

func parse(v []string) (row, error) {
	var year, month, day int
	var schedOK, delayOK bool
	var failed error
	read := func(column int, into *int) bool {
		n, ok, err := number(v[column])
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("column %s: %w", columns[column], err))
		}
		*into = n
		return ok
	}
	var r row
	dated := read(0, &year)
	dated = read(1, &month) && dated
	dated = read(2, &day) && dated
	r.hasDep = read(3, &r.depTime)
	schedOK = read(4, &r.schedDep)
	delayOK = read(5, &r.depDelay)
	r.hasArr = read(6, &r.arrTime)
	r.hasArrDelay = read(7, &r.arrDelay)
	numbered := read(9, &r.flight)
	r.hasInAir = read(13, &r.airTime)
	far := read(14, &r.distance)
	switch {
	case failed != nil:
		return r, failed
	case !dated || !schedOK || !numbered || !far:
		return r, errors.New("a flight needs year, month, day, sched_dep_time, flight and distance")
	case r.hasDep && !delayOK:
		return r, errors.New("a flight that left needs dep_delay")
	case r.hasArr && !r.hasDep:
		return r, errors.New("a flight that arrived needs dep_time")
	}
	r.day = time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	// The row's memory is used again, so strings that stay are copies.
	r.carrier, r.origin, r.dest = strings.Clone(v[8]), strings.Clone(v[11]), strings.Clone(v[12])
	if !absent(v[10]) {
		r.tail = strings.Clone(v[10])
	}
	return r, nil
}
