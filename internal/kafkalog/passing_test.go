package kafkalog

import (
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A broker that is killed while a client connects must not end the client's
// process; a broker that refuses for good must.
func TestPassing(t *testing.T) {
	for _, err := range []error{&kgo.ErrFirstReadEOF{}, kerr.NotLeaderForPartition, kerr.FencedLeaderEpoch} {
		if !passing(fmt.Errorf("fetch: %w", err)) {
			t.Errorf("%T %v ends the process", err, err)
		}
	}
	for _, err := range []error{kerr.TopicAuthorizationFailed, errors.New("other")} {
		if passing(err) {
			t.Errorf("%v is waited out", err)
		}
	}
}
