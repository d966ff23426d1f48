package task

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestCourse: ready is said once, when all partitions have an owner and each client its
// share; what is committed twice counts once; done is said with the last.
func TestCourse(t *testing.T) {
	var out bytes.Buffer
	c := NewCourse(&Task{Clients: 2, Records: 10}, 4, &out)
	c.Owns(0, 4)
	if out.Len() > 0 {
		t.Errorf("said %s with a client that has nothing", &out)
	}
	c.Owns(0, -2)
	c.Owns(1, 2)
	<-c.Ready()
	c.Owns(1, -2)
	c.Owns(1, 2)
	c.Committed(map[int32]int64{0: 4, 1: 5})
	c.Committed(map[int32]int64{0: 4, 1: 3})
	if closed(c.Done()) {
		t.Error("done with 9 of 10")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := c.Run(ctx, func(_, working context.Context, number int) error {
		if number == 1 {
			c.Committed(map[int32]int64{0: 5})
		}
		<-working.Done()
		return nil
	})
	const want = "{\"event\":\"ready\"}\n{\"event\":\"done\",\"records\":10}\n"
	if err != nil || out.String() != want {
		t.Errorf("said %q: %v", &out, err)
	}
}

// TestCourseThatFails is never done.
func TestCourseThatFails(t *testing.T) {
	fenced := errors.New("fenced")
	for name, client := range map[string]func(int) error{
		"one":  func(number int) error { return map[int]error{1: fenced}[number] },
		"none": func(int) error { return nil },
	} {
		var out bytes.Buffer
		c := NewCourse(&Task{Clients: 2, Records: 10}, 4, &out)
		err := c.Run(t.Context(), func(_, _ context.Context, number int) error { return client(number) })
		if err == nil || (name == "one") != errors.Is(err, fenced) || out.Len() > 0 {
			t.Errorf("%s: %v, said %q", name, err, &out)
		}
	}
}

func TestParse(t *testing.T) {
	good := "--brokers a:1,b:2 --events e --outputs o --group g --records 5 --rules ten --commit-interval 5ms --redis= --prefix p"
	task, err := Parse(strings.Fields(good))
	if err != nil || len(task.Brokers) != 2 || task.Records != 5 || !task.Rules.Ten || task.Clients != 1 || task.Key([]byte("ann")) != "p:s:ann" {
		t.Errorf("%+v: %v", task, err)
	}
	if _, err := task.OpenRedis(); err == nil {
		t.Error("there is a client of no Redis")
	}
	for _, bad := range []string{
		strings.Replace(good, "--events e", "", 1), strings.Replace(good, "--records 5", "", 1), strings.Replace(good, "ten", "two", 1),
		good + " --clients 0", good + " --commit-interval 0s", good + " --more",
	} {
		if _, err := Parse(strings.Fields(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
