package enroll

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/platform"
)

// leftFile has the hosts that the Director still has of a machine that has left
// without it, so that a later Leave can finish that. It holds no secret.
const leftFile = "left.json"

// leftHost is a host of this machine in the Director.
type leftHost struct {
	Name    string        `json:"name"`
	Machine *boundMachine `json:"machine,omitempty"` // that has left; nil: it isn't known
	KeySum  string        `json:"host_api_key_sha256,omitempty"`
	// Elsewhere: it was registered, with a key that never was here.
	Elsewhere bool      `json:"registered_elsewhere,omitempty"`
	At        time.Time `json:"at,omitzero"` // when it left; zero: it hasn't yet
}

func keySum(key secret.Text) string {
	if key.IsZero() {
		return ""
	}
	sum := sha256.Sum256([]byte(key.Reveal()))
	return hex.EncodeToString(sum[:])
}

// isAnothers reports whether another machine, whose key this is, has the name of
// h by now: this one was rebuilt, and its old self leaves last.
func (h leftHost) isAnothers(key secret.Text) bool {
	return h.KeySum != "" && !key.IsZero() && h.KeySum != keySum(key)
}

// isStrangers reports whether the host, whose key this is, was registered with
// one that never was here.
func (h leftHost) isStrangers(key secret.Text) bool {
	return h.KeySum == "" && (h.Elsewhere || !key.IsZero())
}

// has reports whether key is the one with which h left.
func (h leftHost) has(key secret.Text) bool { return h.KeySum != "" && h.KeySum == keySum(key) }

// hostsToDelete are those that were left before and this node's own.
func (n *node) hostsToDelete() ([]leftHost, error) {
	hosts, err := n.loadLeft()
	if err != nil || n.name == "" || n.APIClient || !n.hasDirector() {
		return hosts, err
	}
	hosts = slices.DeleteFunc(hosts, func(h leftHost) bool { return strings.EqualFold(h.Name, n.name) })
	return append(hosts, leftHost{Name: n.name, KeySum: keySum(n.hostKey()), Elsewhere: n.state.Elsewhere}), nil
}

// hasDirector reports whether a Director may know this node: one is set, or was.
func (n *node) hasDirector() bool {
	return n.Director != nil || n.Controller != nil || n.state.HostKey != "" || n.state.RegisterSent != nil || n.state.Elsewhere
}

// isCopy reports whether this machine is a copy of the one that left h behind.
func (n *node) isCopy(h leftHost) bool {
	return h.Machine != nil && n.Machine.Identify != nil && h.Machine.isAnother(sealMachine(n.Machine.Identify(), h.Machine.Salt))
}

// LeftBehind returns the names of the hosts that the Director may still have of a
// machine that has left from stateDir without it; none where this account may
// not look.
func LeftBehind(stateDir string) (hosts []string) {
	dir, err := platform.OpenDir(stateDir)
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	var left []leftHost
	data, err := dir.ReadFile(leftFile)
	if err != nil || json.Unmarshal(data, &left) != nil {
		return nil
	}
	for _, h := range left {
		hosts = append(hosts, h.Name)
	}
	return hosts
}

// loadLeft leaves out what another machine has left: this one is a copy of it.
func (n *node) loadLeft() (hosts []leftHost, err error) {
	file := filepath.Join(n.dir.Path(), leftFile)
	data, err := n.dir.ReadFile(leftFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &hosts); err != nil {
		return nil, fmt.Errorf("%s, which names hosts that are yet to be deleted in the Director, is damaged (%w): look for this machine's there, then remove the file", file, err)
	}
	return slices.DeleteFunc(hosts, func(h leftHost) bool {
		copied := n.isCopy(h)
		if copied {
			n.note(Step{Name: "director", Warning: true, Text: fmt.Sprintf("the host %s is that of another machine, of which this is a copy, and stays", h.Name)})
		}
		return copied
	}), nil
}

// keepForLater writes down what is to be deleted, before all else here is gone.
func (l *leaving) keepForLater() (outcome, error) {
	var names []string
	for i := range l.hosts {
		if l.hosts[i].At.IsZero() {
			l.hosts[i].At, l.hosts[i].Machine = l.Now().UTC(), l.state.Machine
		}
		names = append(names, l.hosts[i].Name)
	}
	data, err := json.MarshalIndent(l.hosts, "", "  ")
	if err != nil {
		return outcome{}, err
	}
	if err := l.dir.WriteFile(leftFile, append(data, '\n'), 0o600, platform.Owner{}); err != nil {
		return outcome{}, err
	}
	return warns("somebody has to delete the host %s in the Director, and deploy; or icinga-enroll leave does it later, with director.user: %s has the name", strings.Join(names, " and "), filepath.Join(l.dir.Path(), leftFile))
}
