package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/child"
	"github.com/veltrix/veltrix/internal/service"
	"github.com/veltrix/veltrix/internal/telemetry"
)

// The processes that a run starts, so that the operating system accounts for each
// by itself.
const (
	PartNotifier  = "notifier"  // as its command runs it
	PartPipeline  = "pipeline"  // a gateway and a processor
	PartPlayers   = "players"   // holds the streams
	PartProcessor = "processor" // of the workload core
)

// addresses are what a part that serves says first.
type addresses struct {
	Serves  string `json:"serves"`
	Metrics string `json:"metrics"`
}

// RunPart is the main function of a part.
func RunPart(ctx context.Context, rt app.Runtime, name string, in io.Reader, out io.Writer) error {
	switch name {
	case PartNotifier:
		listener, err := service.Listen(ctx, rt.Log, "the inbox", rt.Config.Notifier.Listen, true)
		if err != nil {
			return err
		}
		n := app.NewNotifier(rt, listener)
		return serve(ctx, rt, out, listener.Addr().String(), n.Checks(), n)
	case PartPipeline:
		listener, err := service.Listen(ctx, rt.Log, "gateway", rt.Config.Producer.Listen, true)
		if err != nil {
			return err
		}
		program, err := notifyProgram()
		if err != nil {
			return err
		}
		app.BoundMemory(rt.Config)
		gateway, processor := app.NewProducer(rt, program, listener), app.NewProcessor(rt, program)
		return serve(ctx, rt, out, listener.Addr().String(), append(gateway.Checks(), processor.Checks()...), gateway, processor)
	case PartPlayers:
		return newCrowd().run(ctx, in, out)
	case PartProcessor:
		program, err := (&Workload{shape: shapes["core"]}).Program()
		if err != nil {
			return err
		}
		app.BoundMemory(rt.Config)
		processor := app.NewProcessor(rt, program)
		return serve(ctx, rt, out, "", processor.Checks(), processor)
	}
	return fmt.Errorf("a part is %s, %s, %s or %s, not %q", PartNotifier, PartPipeline, PartPlayers, PartProcessor, name)
}

// serve runs services beside their metrics, as Runtime.Serve does, and says
// where both are.
func serve(ctx context.Context, rt app.Runtime, out io.Writer, serves string, checks []telemetry.Check, services ...service.Service) error {
	probes, err := service.Listen(ctx, rt.Log, "metrics", rt.Config.Metrics.Listen, true)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(addresses{serves, probes.Addr().String()}); err != nil {
		return fmt.Errorf("say where the part is: %w", err)
	}
	metrics := service.HTTP("metrics", probes, rt.Metrics.Handler(rt.Config.Metrics.Pprof, checks...), rt.Config.StopTimeout/4)
	return service.Run(ctx, rt.Config.StopTimeout, append(services, metrics)...)
}

// part is a process that was started.
type part struct {
	*child.Process
	addresses
	name string
	in   *os.File // its standard input
	out  *bufio.Reader
	ends []io.Closer
	said *ending
	left context.CancelFunc // called before it is stopped: its end is no surprise
}

// startPart starts a part and has failed called where it ends by itself.
func startPart(cmd *exec.Cmd, name string, settings map[string]string, failed func(error)) (_ *part, err error) {
	p := &part{name: name, said: &ending{}}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the %s: %w", name, err)
	}
	defer func() { _ = theirIn.Close() }()
	out, theirOut, err := os.Pipe()
	if err != nil {
		_ = in.Close()
		return nil, fmt.Errorf("start the %s: %w", name, err)
	}
	defer func() { _ = theirOut.Close() }()
	p.in, p.out, p.ends = in, bufio.NewReader(out), []io.Closer{in, out}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	for key, value := range settings {
		cmd.Env = append(cmd.Env, key+"="+value) // the last one counts
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirIn, theirOut, p.said
	if p.Process, err = child.Start(cmd, syscall.SIGKILL); err != nil {
		p.closeEnds()
		return nil, fmt.Errorf("start the %s: %w", name, err)
	}
	watching, left := context.WithCancel(context.Background())
	p.left = left
	go func() {
		select {
		case <-p.Done():
			failed(fmt.Errorf("the %s ended by itself; the end of what it said: %s", name, p.said))
		case <-watching.Done():
		}
	}()
	return p, nil
}

func (p *part) closeEnds() {
	for _, c := range p.ends {
		_ = c.Close()
	}
}

// partStop is how long a part may take to drain.
const partStop = 30 * time.Second

// stop ends the part in order.
func (p *part) stop() {
	p.left()
	p.Stop(partStop)
	p.closeEnds()
}

// ready waits until a part that serves is, and learns where.
func (p *part) ready(ctx context.Context) error {
	line := make(chan error, 1)
	go func() {
		text, err := p.out.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(text, &p.addresses)
		}
		line <- err
	}()
	select {
	case err := <-line:
		if err != nil {
			return fmt.Errorf("learn where the %s is: %w: %s", p.name, err, p.said)
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	why := ""
	err := until(ctx, func() (bool, error) {
		body, code, err := p.ask(ctx, "/readyz")
		why = string(body)
		return err == nil && code == http.StatusOK, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the %s to be ready: %w; it says %s %s", p.name, err, why, p.said)
	}
	return nil
}

// ask asks the listener of the part's metrics.
func (p *part) ask(ctx context.Context, path string) (body []byte, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Metrics+path, nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("ask the %s: %w", p.name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(resp.Body)
	return body, resp.StatusCode, err
}

// metrics sums the part's metrics over their labels.
func (p *part) metrics(ctx context.Context) (map[string]float64, error) {
	body, _, err := p.ask(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	return sumsOf(string(body)), nil
}

func sumsOf(metrics string) map[string]float64 {
	sums := map[string]float64{}
	for line := range strings.Lines(metrics) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		if i := strings.IndexByte(name, '{'); i >= 0 {
			rest = line[strings.LastIndexByte(line, ' ')+1:]
			name = name[:i]
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
		if ok && err == nil && name != "#" {
			sums[name] += value
		}
	}
	return sums
}

// memory is what a process holds.
type memory struct {
	Resident   int64 `json:"resident_bytes"` // as the operating system sees it
	Heap       int64 `json:"heap_bytes"`     // what lives, after a collection
	Stacks     int64 `json:"stack_bytes"`
	Goroutines int64 `json:"goroutines"`
}

// memory reads what the part holds now. Resident is read first: the rest
// begins with a collection, which an operator's process would not make.
func (p *part) memory(ctx context.Context, proc string) (m memory, err error) {
	if m.Resident, err = p.resident(proc); err != nil {
		return m, err
	}
	if _, _, err := p.ask(ctx, "/debug/pprof/heap?gc=1"); err != nil {
		return m, err
	}
	sums, err := p.metrics(ctx)
	m.Heap, m.Stacks, m.Goroutines = int64(sums["go_memstats_heap_alloc_bytes"]), int64(sums["go_memstats_stack_inuse_bytes"]), int64(sums["go_goroutines"])
	return m, err
}

// resident reads what the operating system counts as the part's memory, in bytes.
func (p *part) resident(proc string) (int64, error) {
	kib, err := strconv.ParseInt(strings.TrimSuffix(field(proc+"/"+strconv.Itoa(p.PID())+"/status", "VmRSS"), " kB"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read the memory of the %s: %w", p.name, err)
	}
	return kib << 10, nil
}

// until asks every few milliseconds, until ctx ends.
func until(ctx context.Context, done func() (bool, error)) error {
	const every = 20 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// moving asks until something is done, as long as it gets further.
func moving(ctx context.Context, look func() (at int64, done bool, err error)) error {
	var before int64
	moved := time.Now()
	return until(ctx, func() (bool, error) {
		at, done, err := look()
		if at != before {
			before, moved = at, time.Now()
		}
		if err == nil && !done && time.Since(moved) > notifyStall {
			err = fmt.Errorf("nothing has moved for %s, at %d", notifyStall, at)
		}
		return done, err
	})
}

// ending keeps the end of what a process wrote.
type ending struct {
	mu   sync.Mutex
	text []byte
}

const endingMax = 4 << 10

// Write implements io.Writer.
func (e *ending) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.text = append(e.text, b...)
	if over := len(e.text) - endingMax; over > 0 {
		e.text = e.text[over:]
	}
	return len(b), nil
}

// String returns it.
func (e *ending) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return string(bytes.TrimSpace(e.text))
}
