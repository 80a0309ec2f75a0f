package enroll

import (
	"errors"
	"fmt"
	"slices"

	"icinga-enroll/pki"
)

// temporary marks an error that trying again later may mend.
type temporary struct{ error }

func (temporary) Temporary() bool { return true }
func (t temporary) Unwrap() error { return t.error }

// IsTemporary reports whether trying again later may mend err.
func IsTemporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// failures joins what several endpoints answered. It is temporary only if
// each of them is: one wrong pin is something that somebody must look at.
type failures []error

func (f failures) Error() string {
	if len(f) == 1 {
		return f[0].Error()
	}
	text := fmt.Sprintf("none of %d endpoints would do:", len(f))
	for _, err := range f {
		text += "\n  " + err.Error()
	}
	return text
}

func (f failures) Unwrap() []error { return f }

func (f failures) Temporary() bool {
	for _, err := range f {
		if !IsTemporary(err) {
			return false
		}
	}
	return true
}

// ways joins what kept a new certificate away, with a new key and with the
// same. That one of them waits for approval is no news while the other fails.
type ways []error

func (w ways) Error() string {
	if len(w) == 1 {
		return w[0].Error()
	}
	text := "there is no new certificate:"
	for _, err := range w {
		text += "\n  " + err.Error()
	}
	return text
}

func (w ways) Unwrap() []error {
	if len(w) == 1 {
		return w
	}
	return slices.DeleteFunc(slices.Clone(w), isPending)
}

func (w ways) Temporary() bool {
	return !slices.ContainsFunc(w, func(err error) bool { return !isPending(err) && !IsTemporary(err) })
}

func isPending(err error) bool { return errors.Is(err, pki.ErrPending) }
