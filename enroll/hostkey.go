package enroll

import (
	"context"
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
	switch {
	case !errors.Is(err, selfservice.ErrKeyRejected):
		return err
	case !n.HostKey.IsZero() && n.Reregister:
		return &keyError{err, "director.reregister has no effect on a prepared host: put its present key into director.host_key_file, then run icinga-enroll once"}
	case !n.HostKey.IsZero():
		return &keyError{err, "somebody has dropped the key or deleted the host; put the host's present key into director.host_key_file, then run icinga-enroll once"}
	}
	advice := "somebody has dropped the key or deleted the host; if it is to be registered anew: "
	if n.keyForgotten() && n.Controller == nil {
		advice += "write the host template's self-service API key into " + n.TemplateKeyFile + " again (director.forget_template_key has emptied it), then "
	}
	advice += "icinga-enroll once --director-reregister"
	if !n.keyForgotten() && !n.canRegister() {
		advice += ", which takes the host template's self-service API key: director.template_key_file names no file that has it"
	}
	return &keyError{err, advice}
}

// adviseKey is adviseReregister where a look at the host can tell a dropped key
// from a deleted host: it asks the Controller.
func (n *node) adviseKey(ctx context.Context, err error) error {
	if n.Controller == nil || !n.HostKey.IsZero() {
		return n.adviseReregister(err)
	}
	host, herr := n.findHost(ctx)
	switch {
	case herr != nil:
		return n.adviseReregister(err)
	case host == nil:
		return &keyError{err, "the host is not in the Director any more; if it is to be made again: icinga-enroll once --director-reregister"}
	}
	return &keyError{err, "the host is there, its key was dropped or replaced; nobody has to do anything: the service takes or makes its key when it asks the Director next, once a day (at once: when it is reloaded, or by icinga-enroll once --director-reregister)"}
}

// adviseNoHost tells a host that was renamed, whose key the Director takes still, from
// one that was deleted.
func (n *node) adviseNoHost(ctx context.Context, err error) error {
	if n.Director == nil || !n.registered() {
		return err
	}
	if _, refused := n.Director.Parameters(ctx, n.hostKey()); refused != nil {
		return err
	}
	return fmt.Errorf("%w, but takes this host's key. %s", err, n.adviseRenamed())
}

// keyError is the Director's refusal of a host key, with what can be done: what
// the Director's client says of it is true of template keys as well.
type keyError struct {
	error
	advice string
}

func (e *keyError) Error() string {
	said := e.error.Error()
	var answer *selfservice.Error
	if errors.As(e.error, &answer) {
		said = fmt.Sprintf("%s, HTTP status %d: %s", answer.Call, answer.Status, answer.Message)
	}
	return fmt.Sprintf("the Director refuses this host's key (%s): %s", said, e.advice)
}

func (e *keyError) Unwrap() error { return e.error }
