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

// local marks a temporary error that was seen on this machine, before a server
// was asked.
type local struct{ temporary }

func (local) Local() bool { return true }

// IsLocal reports whether err is about this machine alone, and may pass: trying
// again costs no server anything.
func IsLocal(err error) bool {
	var l interface{ Local() bool }
	return errors.As(err, &l) && l.Local()
}

// unread marks an error of reading the state: nothing is known of this machine.
type unread struct{ error }

func (u unread) Unwrap() error { return u.error }

// newer marks one about a state that a newer version has written.
type newer struct{ error }

// permanent marks an error that trying again doesn't mend, though its cause may
// pass.
type permanent struct{ error }

func (permanent) Temporary() bool { return false }
func (p permanent) Unwrap() error { return p.error }

// IsTemporary reports whether trying again later may mend err.
func IsTemporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// failures joins what several endpoints answered. It is temporary only if
// each of them is: one wrong pin is something that somebody must look at.
type failures []error

func (f failures) Error() string {
	return list(fmt.Sprintf("none of %d endpoints would do:", len(f)), f)
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

// unticketed joins what became of each source of a ticket. It is temporary if one
// of them is: that source may have one later.
type unticketed []error

func (u unticketed) Error() string   { return list("no source of a ticket would do:", u) }
func (u unticketed) Unwrap() []error { return u }
func (u unticketed) Temporary() bool { return slices.ContainsFunc(u, IsTemporary) }

// list writes errors below each other, a single one as it is.
func list(head string, errs []error) string {
	if len(errs) == 1 {
		return errs[0].Error()
	}
	for _, err := range errs {
		head += "\n  " + err.Error()
	}
	return head
}

// misnamed marks an error about this node's name: with a ticket from elsewhere
// it would get a certificate of a name that it must not have.
type misnamed struct{ error }

func (m misnamed) Unwrap() error { return m.error }

// ways joins what kept a new certificate away, with a new key and with the
// same. That one of them waits for approval is no news while the other fails.
type ways []error

func (w ways) Error() string { return list("there is no new certificate:", w) }

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
