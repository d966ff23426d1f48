package service

import "errors"

// The exit codes of every command.
const (
	ExitOK       = 0
	ExitFailure  = 1
	ExitWarnings = 2  // a check found warnings only
	ExitConfig   = 78 // the configuration is wrong; restarting does not help
)

type codedError struct {
	error
	code int
}

func (e codedError) Unwrap() error { return e.error }
func (e codedError) ExitCode() int { return e.code }

// WithExitCode gives an error the code that its process ends with.
func WithExitCode(err error, code int) error {
	if err == nil {
		return nil
	}
	return codedError{err, code}
}

// ExitCode returns the code for what a command returned: 0 for nil, the code
// that the error carries (an ExitCode method, as the configuration's errors
// have), or 1.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return ExitFailure
}
