package enroll

import (
	"errors"
	"fmt"
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
