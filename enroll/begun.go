package enroll

import (
	"context"
	"errors"
	"io/fs"
)

// Begun reports whether this machine has begun to enrol: its name is settled,
// which a pending request's is, or a certificate waits to be put in place, or a
// valid pair is there. It goes by the state and the certificates, not by the
// status, and changes nothing. Only where there are certificates and no state
// may it have to ask the Director for this node's name.
func (e *Enroller) Begun(ctx context.Context) (bool, error) {
	n, err := e.look()
	if err != nil {
		return true, err // what can't be read has begun: Ensure says so to the status, and so to monitoring
	}
	defer n.close()
	if n.state.Name != "" || n.hasJournal() {
		return true, nil
	}
	if n.certs == nil {
		return false, nil
	}
	if _, err := n.identity(ctx); err != nil {
		return false, err
	}
	_, err = n.findPair(ctx)
	return n.pair != nil, err
}

func (n *node) hasJournal() bool {
	if n.dir == nil {
		return false
	}
	_, err := n.dir.ReadFile(switchFile)
	return !errors.Is(err, fs.ErrNotExist)
}
