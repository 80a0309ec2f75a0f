package enroll

import (
	"errors"
	"fmt"
	"time"

	"icinga-enroll/selfservice"
)

// keyAccepted reports whether the Director has not refused the host key since
// it accepted it last. A refusal stays until then, whatever else goes well.
func (n *node) keyAccepted() bool { return n.Director == nil || n.state.KeyRejected.IsZero() }

// heard keeps what an answer of the Director to the host key says about that
// key, and returns the answer's error as this node's.
func (n *node) heard(err error) error {
	rejected := errors.Is(err, selfservice.ErrKeyRejected)
	err = n.adviseReregister(err)
	if err != nil && !rejected || rejected != n.state.KeyRejected.IsZero() {
		return err
	}
	n.state.KeyRejected = time.Time{}
	if rejected {
		n.state.KeyRejected = n.Now().UTC()
	}
	return errors.Join(err, n.save())
}

// adviseReregister says what can be done about a host key that is refused.
func (n *node) adviseReregister(err error) error {
	if !errors.Is(err, selfservice.ErrKeyRejected) {
		return err
	}
	return &keyError{error: err, prepared: !n.HostKey.IsZero()}
}

// keyError is the Director's refusal of a host key, with what can be done: what
// the Director's client says of it is true of template keys as well.
type keyError struct {
	error
	prepared bool
}

func (e *keyError) Error() string {
	said := e.error.Error()
	var answer *selfservice.Error
	if errors.As(e.error, &answer) {
		said = fmt.Sprintf("%s, HTTP status %d: %s", answer.Call, answer.Status, answer.Message)
	}
	advice := "if it is to be registered anew: icinga-enroll once --director-reregister"
	if e.prepared {
		advice = "put the host's present key into director.host_key_file, then run icinga-enroll once"
	}
	return fmt.Sprintf("the Director refuses this host's key (%s): somebody has dropped the key or deleted the host; %s", said, advice)
}

func (e *keyError) Unwrap() error { return e.error }
