package delivery

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
)

// Standing is what a participant wants, and what they have seen.
type Standing struct {
	Preferences Preferences
	// Seen says that the participant acknowledged the notification's newest entry.
	Seen bool
	// Present says that the participant has an inbox open somewhere.
	Present bool
}

// AdmitRequest asks whether one more push is within a participant's allowance.
type AdmitRequest struct {
	Notification string
	Revision     int
	Channel      string
	Target       string
	Max          int           // pushes in a window
	Window       time.Duration // it begins with its first push
}

// Admission is the answer.
type Admission struct {
	Admitted bool
	// The rest is of one that was not: the notification is counted in the digest
	// of the window.
	Window int64         // the window's start, ms since the Unix epoch
	Left   time.Duration // until the window's end
	// Opens says that this notification is the first one of its window's digest that
	// this target does not get: whoever has a revision of it parks the target's
	// digest. Where it was withdrawn, the next one opens.
	Opens bool
}

// Gate knows what decides about pushes to a participant's devices. Its clock is
// the store's. Errors are transport errors and every method may be called again.
type Gate interface {
	// Look says how a participant stands to a notification.
	Look(ctx context.Context, participant, notification string) (Standing, error)
	// Admit counts a push, once for each revision of a notification however many
	// devices it goes to, and takes its notification out of an earlier digest; or
	// counts it in the window's digest.
	Admit(ctx context.Context, participant string, req AdmitRequest) (Admission, error)
	// Withdraw takes a retracted notification out of its digest.
	Withdraw(ctx context.Context, participant, notification string) error
	// Unseen closes a window, if it is not over by itself, and counts its digest's
	// notifications that the participant has not acknowledged: what comes later is
	// of another window, whatever the notifiers' clocks say.
	Unseen(ctx context.Context, participant string, window int64) (int, error)
}

// Presence is told of participants who look at their inbox. Errors are transport
// errors.
type Presence interface {
	// Present notes that a participant has an inbox open and will have it for
	// so long.
	Present(ctx context.Context, participant string, life time.Duration) error
}

// PreferenceStore keeps participants' preferences. Errors are transport errors
// and every method may be called again.
type PreferenceStore interface {
	// Preferences returns a participant's, or the zero value.
	Preferences(ctx context.Context, participant string) (Preferences, error)
	// SetPreferences replaces them; the zero value takes them out.
	SetPreferences(ctx context.Context, participant string, p Preferences) error
}

// digestID names a participant's digest of a window.
func digestID(participant string, window int64) string {
	sum := sha256.Sum256([]byte("digest\x00" + strconv.FormatInt(window, 10) + "\x00" + participant))
	return hex.EncodeToString(sum[:16])
}
