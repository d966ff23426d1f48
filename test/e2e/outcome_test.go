package e2e

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/test/proxy"
)

// onCommit sets a rule for the first commits of processors' transactions, and
// returns how many it was applied to.
func onCommit(p *proxy.Proxy, first int32, rule proxy.Rule) *atomic.Int32 {
	var applied atomic.Int32
	mine := func(req kmsg.Request) bool {
		end := req.(*kmsg.EndTxnRequest)
		return end.Commit && isProcessor(end.TransactionalID) && applied.Add(1) <= first
	}
	p.On(kmsg.EndTxn, proxy.Rule{
		Before: func(req kmsg.Request) kmsg.Response {
			if rule.Before == nil || !mine(req) {
				return nil
			}
			return rule.Before(req)
		},
		After: func(req kmsg.Request, resp kmsg.Response) bool {
			return rule.After == nil || !mine(req) || rule.After(req, resp)
		},
	})
	return &applied
}

func uncertain(p *app.Processor) (n int64) {
	for _, v := range p.Views() {
		if v != nil {
			n += v.Counts.Uncertain
		}
	}
	return n
}

// TestRow04UnknownOutcome lets commits succeed and be answered with an error,
// and lets the answers to others be lost. The client then says that nothing was
// committed, or does not know; the records must not count again.
func TestRow04UnknownOutcome(t *testing.T) {
	const times = 4
	for name, after := range map[string]func(kmsg.Request, kmsg.Response) bool{
		"answered with an error": func(_ kmsg.Request, resp kmsg.Response) bool {
			resp.(*kmsg.EndTxnResponse).ErrorCode = kerr.UnknownServerError.Code
			return true
		},
		"answer lost": func(kmsg.Request, kmsg.Response) bool { return false },
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, at place) {
				d, sent := flights(t, at, 3, 1_200)
				d.rt.Config.Processor.CommitRecords = 60 // 20 transactions or more
				hit := onCommit(at.proxy, times, proxy.Rule{After: after})
				d.processor()
				d.feed(sent, 40, 30*time.Millisecond).wait()
				d.countedOnce(sent)
				if hit.Load() < times {
					t.Errorf("%d commits had an unknown outcome, want %d", hit.Load(), times)
				}
			})
		})
	}
}

// TestRow07AbortLeavesNothing lets the offsets of some transactions be refused
// after everything was folded and produced. They are aborted, the same session
// goes on with what it has cached, and folds the same records again.
func TestRow07AbortLeavesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		const times = 4
		d, sent := flights(t, at, 3, 1_200)
		d.rt.Config.Processor.Slots, d.rt.Config.Processor.CommitRecords = 1, 60 // 20 transactions or more
		var all, refused atomic.Int32
		at.proxy.On(kmsg.TxnOffsetCommit, proxy.Rule{After: func(_ kmsg.Request, resp kmsg.Response) bool {
			// The first ones fill the cache.
			if n := all.Add(1); n < 3 || n >= 3+2*times || n%2 == 0 {
				return true
			}
			refused.Add(1)
			r := resp.(*kmsg.TxnOffsetCommitResponse)
			for i := range r.Topics {
				for j := range r.Topics[i].Partitions {
					r.Topics[i].Partitions[j].ErrorCode = kerr.RebalanceInProgress.Code
				}
			}
			return true
		}})
		p, _ := d.processor()
		d.feed(sent, 40, 30*time.Millisecond).wait()
		d.processed()
		if n := uncertain(p); refused.Load() != times || n < times {
			t.Errorf("%d transactions were refused and %d seen aborted by one session, want %d", refused.Load(), n, times)
		}
		d.countedOnce(sent)
	})
}

// TestRow41aExpelledBeforeTheEnd removes a member from its group while it holds
// polled records, in the middle of their transaction. Its end must not wait for
// the callback that waits for it, and what it had is counted by whoever has the
// partitions next.
func TestRow41aExpelledBeforeTheEnd(t *testing.T) {
	onEach(t, func(t *testing.T, at place) {
		d, sent := flights(t, at, 3, 600)
		d.rt.Config.Processor.Slots = 1
		var expelled, aborted atomic.Bool
		at.proxy.On(kmsg.Produce, proxy.Rule{Before: func(req kmsg.Request) kmsg.Response {
			id := req.(*kmsg.ProduceRequest).TransactionID
			if id == nil || !isProcessor(*id) || !expelled.CompareAndSwap(false, true) {
				return nil
			}
			instance := fmt.Sprintf("%s.processor.0", d.kafka.Prefix)
			leave := kmsg.NewPtrLeaveGroupRequest()
			leave.Group = d.kafka.ProcessorGroup()
			member := kmsg.NewLeaveGroupRequestMember()
			member.InstanceID = &instance
			leave.Members = append(leave.Members, member)
			cl := d.client()
			resp, err := leave.RequestWith(t.Context(), cl)
			if err != nil || resp.ErrorCode != 0 || resp.Members[0].ErrorCode != 0 {
				t.Errorf("the member was not expelled: %+v, %v", resp, err)
			}
			time.Sleep(3 * sessionTimeout / 10) // it learns of it by its next heartbeat
			return nil
		}})
		at.proxy.On(kmsg.EndTxn, proxy.Rule{Before: func(req kmsg.Request) kmsg.Response {
			if end := req.(*kmsg.EndTxnRequest); expelled.Load() && isProcessor(end.TransactionalID) && !end.Commit {
				aborted.Store(true)
			}
			return nil
		}})
		d.processor()
		d.feed(sent, 40, 30*time.Millisecond).wait()
		d.countedOnce(sent)
		if !expelled.Load() || !aborted.Load() {
			t.Errorf("expelled is %t, and its transaction aborted %t", expelled.Load(), aborted.Load())
		}
	})
}
