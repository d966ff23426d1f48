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
