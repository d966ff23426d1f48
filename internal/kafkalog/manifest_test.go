package kafkalog_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/kafkalog"
)

func createManifestTopic(t *testing.T, cfg kafkalog.Config) {
	t.Helper()
	createTopic(t, cfg, cfg.Topic("manifest"), 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")})
}

// TestManifestLosesNoUpdate lets writers race: each adds its own partition,
// and a lost update would lose one.
func TestManifestLosesNoUpdate(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		const writers = 4
		if m, err := kafkalog.ReadManifest(withTimeout(t), cfg); m != nil || err != nil {
			t.Fatalf("before its topic: %+v, %v", m, err)
		}
		createManifestTopic(t, cfg)
		if m, err := kafkalog.ReadManifest(withTimeout(t), cfg); m != nil || err != nil {
			t.Fatalf("before the first write: %+v, %v", m, err)
		}
		var wg sync.WaitGroup
		for p := range int32(writers) {
			wg.Go(func() {
				_, err := kafkalog.UpdateManifest(withTimeout(t), cfg, func(old *kafkalog.Manifest) (*kafkalog.Manifest, error) {
					if old == nil {
						old = &kafkalog.Manifest{Partitions: writers}
					}
					if !slices.Contains(old.Initialized, p) {
						old.Initialized = append(old.Initialized, p)
					}
					slices.Sort(old.Initialized)
					return old, nil
				})
				if err != nil {
					t.Errorf("writer %d: %v", p, err)
				}
			})
		}
		wg.Wait()
		m, err := kafkalog.ReadManifest(withTimeout(t), cfg)
		if err != nil || !slices.Equal(m.Initialized, []int32{0, 1, 2, 3}) || m.Partitions != writers || m.Layout != kafkalog.ManifestLayout {
			t.Fatalf("%+v, %v", m, err)
		}
	})
}

// TestManifestWriterIsFencedAfterReading holds a writer between its read and
// its write while another writes: the first must read again.
func TestManifestWriterIsFencedAfterReading(t *testing.T) {
	onBoth(t, func(t *testing.T, cfg kafkalog.Config) {
		createManifestTopic(t, cfg)
		var calls atomic.Int32
		got, err := kafkalog.UpdateManifest(withTimeout(t), cfg, func(old *kafkalog.Manifest) (*kafkalog.Manifest, error) {
			if calls.Add(1) == 1 {
				if old != nil {
					t.Errorf("an empty manifest reads as %+v", old)
				}
				if _, err := kafkalog.UpdateManifest(withTimeout(t), cfg, func(*kafkalog.Manifest) (*kafkalog.Manifest, error) {
					return &kafkalog.Manifest{Hunt: "other"}, nil
				}); err != nil {
					t.Errorf("the other writer: %v", err)
				}
				return &kafkalog.Manifest{Generation: 1}, nil
			}
			old.Generation = 2
			return old, nil
		})
		if err != nil || calls.Load() != 2 || got.Hunt != "other" || got.Generation != 2 {
			t.Fatalf("after %d calls: %+v, %v", calls.Load(), got, err)
		}
	})
}

// TestManifestCommitThatWasAnAbort lets the first commit be an abort that is
// answered as the commit would be. The update must not be lost.
func TestManifestCommitThatWasAnAbort(t *testing.T) {
	cluster := fakeCluster(t)
	cfg := kafkalog.Config{Brokers: cluster.ListenAddrs(), Prefix: "p"}
	createManifestTopic(t, cfg)
	var commits atomic.Int32 // that the broker was asked for
	cluster.ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if end := req.(*kmsg.EndTxnRequest); end.Commit {
			end.Commit = commits.Add(1) > 1
		}
		return nil, nil, false
	})
	var calls atomic.Int32
	got, err := kafkalog.UpdateManifest(withTimeout(t), cfg, func(old *kafkalog.Manifest) (*kafkalog.Manifest, error) {
		if calls.Add(1); old != nil {
			t.Errorf("what was aborted reads as %+v", old)
		}
		return &kafkalog.Manifest{Hunt: "h"}, nil
	})
	// The client may abort one by itself, and ask for no commit: see committed.
	if err != nil || commits.Load() != 2 || calls.Load() < 2 || got.Hunt != "h" {
		t.Fatalf("after %d calls and %d commits: %+v, %v", calls.Load(), commits.Load(), got, err)
	}
	if m, err := kafkalog.ReadManifest(withTimeout(t), cfg); err != nil || m == nil || m.Hunt != "h" {
		t.Errorf("it reads as %+v, %v", m, err)
	}
}

// TestManifestWriterThatIsStopped gives a writer up while its record, and while its
// commit, is on the way: no transaction stays open, for which readers would wait.
func TestManifestWriterThatIsStopped(t *testing.T) {
	wait := kmsg.NewPtrEndTxnResponse() // what a coordinator answers that is still at work on the one before
	wait.ErrorCode = kerr.ConcurrentTransactions.Code
	for name, test := range map[string]struct {
		key    kmsg.Key
		answer kmsg.Response // nil: the broker's own
	}{"writing": {kmsg.Produce, nil}, "committing": {kmsg.EndTxn, wait}} {
		t.Run(name, func(t *testing.T) {
			cluster := fakeCluster(t)
			cfg := kafkalog.Config{Brokers: cluster.ListenAddrs(), Prefix: "p"}
			createManifestTopic(t, cfg)
			ctx, stop := context.WithCancel(withTimeout(t))
			cluster.ControlKey(int16(test.key), func(req kmsg.Request) (kmsg.Response, error, bool) {
				stop()
				time.Sleep(50 * time.Millisecond) // the writer learns of it before the answer
				if test.answer == nil {
					return nil, nil, false
				}
				test.answer.SetVersion(req.GetVersion())
				return test.answer, nil, true
			})
			_, _ = kafkalog.UpdateManifest(ctx, cfg, func(*kafkalog.Manifest) (*kafkalog.Manifest, error) {
				return &kafkalog.Manifest{Hunt: "h"}, nil
			})
			if ctx.Err() == nil {
				t.Fatal("it was not stopped")
			}
			soon, cancel := context.WithTimeout(t.Context(), 3*time.Second) // before the brokers would abort it
			defer cancel()
			if _, err := kafkalog.ReadManifest(soon, cfg); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestManifestWritesOnlyChanges(t *testing.T) {
	cfg := kafkalog.Config{Brokers: fakeBrokers(t), Prefix: "p", BootID: "b"}
	createManifestTopic(t, cfg)
	end := func() int64 {
		b, err := kafkalog.Bounds(withTimeout(t), cfg, cfg.Topic("manifest"))
		if err != nil {
			t.Fatal(err)
		}
		return b[0].End
	}
	if _, err := kafkalog.UpdateManifest(withTimeout(t), cfg, func(*kafkalog.Manifest) (*kafkalog.Manifest, error) {
		return &kafkalog.Manifest{Hunt: "h"}, nil
	}); err != nil {
		t.Fatal(err)
	}
	before := end()
	if m, err := kafkalog.UpdateManifest(withTimeout(t), cfg, func(old *kafkalog.Manifest) (*kafkalog.Manifest, error) {
		return old, nil
	}); err != nil || m.Hunt != "h" {
		t.Errorf("%+v, %v", m, err)
	}
	refused := errors.New("refused")
	if _, err := kafkalog.UpdateManifest(withTimeout(t), cfg, func(*kafkalog.Manifest) (*kafkalog.Manifest, error) {
		return nil, refused
	}); !errors.Is(err, refused) {
		t.Errorf("the change's error: %v", err)
	}
	if end() != before {
		t.Errorf("the log grew from %d to %d without a change", before, end())
	}
	cl := newClient(t, cfg, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for _, text := range []string{`{"layout":2}`, `{"layout":1,"new_field":1}`} {
		if err := cl.ProduceSync(withTimeout(t), &kgo.Record{Topic: cfg.Topic("manifest"), Key: []byte("manifest"), Value: []byte(text)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if _, err := kafkalog.ReadManifest(withTimeout(t), cfg); err == nil {
			t.Errorf("%s was read", text)
		}
	}
}

// TestManifestWaitsOutABrokerThatDies closes connections as they are taken, as a
// broker does that is killed just then. The processor that starts must not end.
func TestManifestWaitsOutABrokerThatDies(t *testing.T) {
	cluster := fakeCluster(t)
	cfg := kafkalog.Config{Brokers: cluster.ListenAddrs(), Prefix: "x"}
	createManifestTopic(t, cfg)
	var closed atomic.Int32
	cluster.ControlKey(int16(kmsg.ApiVersions), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if closed.Add(1) > 12 {
			return nil, nil, false
		}
		return nil, errors.New("killed"), true
	})
	m, err := kafkalog.UpdateManifest(withTimeout(t), cfg, func(*kafkalog.Manifest) (*kafkalog.Manifest, error) {
		return &kafkalog.Manifest{Partitions: 3}, nil
	})
	if err != nil || m.Partitions != 3 || closed.Load() <= 12 {
		t.Errorf("%+v, %v after %d connections", m, err, closed.Load())
	}
}
