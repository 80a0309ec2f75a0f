package enroll

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/platform"
	"icinga-enroll/selfservice"
)

const (
	stateFile    = "state.json"
	stateVersion = 1
)

// State is what must not be lost between two runs. The host API key can't be
// asked for again.
type State struct {
	Version      int                     `json:"version"`
	Machine      *boundMachine           `json:"machine,omitempty"`    // on which all this was made; nil: by a version that didn't look
	Name         string                  `json:"name,omitempty"`       // the name that is registered, or that the certificate has: it sticks
	Hostname     string                  `json:"hostname,omitempty"`   // the machine's, when the name was settled
	APIClient    bool                    `json:"api_client,omitempty"` // the name was settled as an API client's
	Certs        []string                `json:"certs,omitempty"`      // the folders in which its certificate was; all there were
	HostKey      string                  `json:"host_api_key,omitempty"`
	HostSettings *HostSettings           `json:"host_settings,omitempty"` // with which the host was made, or last changed
	RegisterSent *Sent                   `json:"register_sent,omitempty"`
	DeployDue    bool                    `json:"deploy_due,omitempty"` // the host was made or changed, and the master doesn't know yet
	Elsewhere    bool                    `json:"registered_elsewhere,omitempty"`
	CA           string                  `json:"ca,omitempty"` // PEM; every CA certificate that was trusted, the oldest first
	Parameters   *selfservice.Parameters `json:"parameters,omitempty"`
	EnrolledAt   *Reached                `json:"enrolled_at,omitempty"` // who handed out the certificate
	Pending      *Waiting                `json:"pending,omitempty"`
	Agent        AgentState              `json:"agent,omitzero"`
	PendingRekey bool                    `json:"pending_rekey,omitempty"` // the pending request is for a new key beside the pair in force
	HooksDue     string                  `json:"hooks_due,omitempty"`     // the reason that hooks.post_renew has not been told yet
	HooksTold    []string                `json:"hooks_told,omitempty"`    // those of them that have ended well

	// KeyRejected is when the Director first refused the host key; zero as soon
	// as it has accepted one.
	KeyRejected time.Time `json:"host_key_rejected,omitzero"`

	// RefusedTickets are those that the CA has refused within a day, by their
	// SHA-256 in hex, and when: masters log refused tickets in plain, so one isn't
	// shown again at every try.
	RefusedTickets map[string]time.Time `json:"refused_tickets,omitempty"`
}

// Sent is a registration whose answer has not been seen.
type Sent struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

// Reached is a parent that has answered, and where.
type Reached struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

// loadState returns the zero State where there is none yet.
func loadState(dir *platform.Dir) (State, error) {
	file := filepath.Join(dir.Path(), stateFile)
	data, err := dir.ReadFile(stateFile)
	none := errors.Is(err, fs.ErrNotExist)
	if err != nil && !none {
		return State{}, err
	}
	if err := guardedState(dir); err != nil {
		return State{}, err
	}
	if none {
		return State{Version: stateVersion}, nil
	}
	var version struct{ Version int }
	if err := json.Unmarshal(data, &version); err != nil {
		return State{}, fmt.Errorf("%s is damaged (%w): bring it back from a backup; without one, move it away, drop this host's self-service API key in the Director and run this again", file, err)
	}
	if version.Version != stateVersion {
		err := fmt.Errorf("%s has format %d, this program knows format %d: it was written by another version of icinga-enroll; use that one (the file is left as it is)", file, version.Version, stateVersion)
		if version.Version > stateVersion {
			err = newer{err}
		}
		return State{}, err
	}
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return State{}, fmt.Errorf("%s is damaged (%w): bring it back from a backup", file, err)
	}
	if _, err := pki.ParseCertificates([]byte(s.CA)); err != nil && s.CA != "" {
		return State{}, fmt.Errorf("%s is damaged (\"ca\": %w): bring it back from a backup", file, err)
	}
	return s, nil
}

// guardedState refuses a folder that another account could have put files into, such as
// a request for a key that it knows, and a state that it could have changed.
func guardedState(dir *platform.Dir) error {
	err := cmp.Or(platform.GuardedFolder(dir.Path()), platform.Guarded(filepath.Join(dir.Path(), stateFile)))
	if err == nil {
		return nil
	}
	if foreign := refuseForeign(dir); foreign != nil {
		return foreign
	}
	return fmt.Errorf("the state is not used, since another account could have changed it (look what is in it before you mend that): %w", err)
}

// stateIn is the state in a folder that this run hasn't opened.
func stateIn(folder string) (State, error) {
	dir, err := platform.OpenDir(folder)
	if err != nil {
		return State{}, err
	}
	defer func() { _ = dir.Close() }()
	return loadState(dir)
}

// IsRegistered reports whether the node with that state folder has a host in the
// Director. Where this account may not look there, it has none.
func IsRegistered(stateDir string) bool {
	s, err := stateIn(stateDir)
	return err == nil && (s.HostKey != "" || s.Elsewhere)
}

// save makes the state durable before it returns.
func (n *node) save() error {
	data, err := json.MarshalIndent(n.state, "", "  ")
	if err != nil {
		return err
	}
	return n.dir.WriteFile(stateFile, append(data, '\n'), 0o600, platform.Owner{})
}

// hideState takes a state that others could read, as one from a backup, from them:
// the host API key is in it. A dry run only says so. On Windows a mode tells nothing.
func (n *node) hideState(context.Context) (outcome, error) {
	if n.state.HostKey == "" || runtime.GOOS == "windows" {
		return outcome{}, nil
	}
	mode, _, err := n.dir.Attributes(stateFile)
	if err != nil || mode.Perm()&0o077 == 0 {
		return outcome{}, err
	}
	who := "its group"
	if mode.Perm()&0o007 != 0 {
		who = "every account"
	}
	file := filepath.Join(n.dir.Path(), stateFile)
	if n.readOnly {
		return warns("%s can be read by %s (mode %04o), and the host API key is in it: would be 0600", file, who, mode.Perm())
	}
	if err := n.save(); err != nil {
		return outcome{}, err
	}
	if mode, _, err := n.dir.Attributes(stateFile); err != nil || mode.Perm()&0o077 != 0 {
		return warns("%s can be read by %s, and the host API key is in it: this file system knows no modes, take another one for paths.state", file, who)
	}
	out, err := changed("%s could be read by %s until now (mode %04o), and the host API key is in it: if that matters, drop it in the Director, then icinga-enroll once --director-reregister", file, who, mode.Perm())
	out.warning = true
	return out, err
}

// hostKey is the prepared host's key if there is one, else the one that
// registering gave.
func (n *node) hostKey() secret.Text {
	if !n.HostKey.IsZero() {
		return n.HostKey
	}
	return secret.New(n.state.HostKey)
}
