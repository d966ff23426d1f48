package deliverytest

import (
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
)

func TestLedger(t *testing.T) {
	LedgerSuite(t, func(*testing.T) delivery.Ledger { return NewLedger() })
}

func TestInbox(t *testing.T) {
	InboxSuite(t, func(_ *testing.T, entriesMax int, retention time.Duration) delivery.Inbox {
		return NewInbox(entriesMax, retention)
	})
}

func TestDevices(t *testing.T) {
	DevicesSuite(t, func(*testing.T) delivery.Devices { return NewDevices() })
}

func TestGate(t *testing.T) {
	t.Parallel()
	GateSuite(t, func(*testing.T) GateSite {
		inbox := NewInbox(100, time.Hour)
		return GateSite{Gate: NewGate(inbox), Inbox: inbox, Forget: func(_ *testing.T, who string) { inbox.Forget(who) }}
	})
}

type memorySite struct{ log *Log }

func (m memorySite) Add(_ *testing.T, n *delivery.Notification, partition int32) {
	m.log.Add(n, partition)
}

func (m memorySite) Join(_ *testing.T, holder delivery.Holder) delivery.Source {
	return m.log.Join(holder, []delivery.RetryTopic{{Name: SuiteRetry, Delay: time.Minute}})
}

func (m memorySite) Writer(*testing.T) delivery.Receipts { return m.log.Writer() }

func TestLog(t *testing.T) {
	LogSuite(t, func(*testing.T) LogSite { return memorySite{NewLog(2)} })
}
