package enroll

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"icinga-enroll/pki"
	"icinga-enroll/platform"
)

const (
	statusFile    = "status.json"
	statusVersion = 1
)

// Status is what any account of this machine may know. It holds no secret.
type Status struct {
	Version     int          `json:"version"`
	Name        string       `json:"name"`
	State       Condition    `json:"state"`
	Registered  bool         `json:"registered"`
	Certificate *Certificate `json:"certificate,omitempty"`
	Pending     *Waiting     `json:"pending,omitempty"`
	LastError   *LastError   `json:"last_error,omitempty"`
	Due         time.Time    `json:"due,omitzero"` // when the certificate is renewed
	NextStep    string       `json:"next_step"`
}

// LastError is what went wrong in the last run.
type LastError struct {
	Message   string    `json:"message"`
	Temporary bool      `json:"temporary"`
	At        time.Time `json:"at"`
}

func newStatus(r Report, err error, now time.Time) Status {
	s := Status{
		Version:     statusVersion,
		Name:        r.Name,
		State:       r.State,
		Registered:  r.Registered,
		Certificate: r.Certificate,
		Pending:     r.Pending,
		Due:         r.Next,
	}
	if err == nil && r.renewalError != nil {
		err = r.renewalError
	}
	if err != nil && !errors.Is(err, pki.ErrPending) {
		s.LastError = &LastError{Message: err.Error(), Temporary: IsTemporary(err), At: now.UTC()}
	}
	s.NextStep = s.nextStep()
	return s
}

func (s Status) nextStep() string {
	switch {
	case s.State == Pending && s.Pending != nil:
		return "on the CA's machine: icinga2 ca sign " + s.Pending.Fingerprint
	case s.LastError != nil && s.LastError.Temporary:
		return "nothing: run icinga-enroll once again, it may work later"
	case s.LastError != nil:
		return "mend what the last error says, then run icinga-enroll once"
	case s.State == Enrolled:
		return "none; the certificate is due for renewal on " + s.Due.UTC().Format(time.DateOnly)
	default:
		return "run icinga-enroll once"
	}
}

// writeStatus replaces the status file where something has changed.
func writeStatus(dir *platform.Dir, s Status) error {
	if old, err := readStatus(dir); err == nil && old.sameAs(s) {
		return nil
	}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return dir.WriteFile(statusFile, append(data, '\n'), 0o644, platform.Owner{})
}

// sameAs compares all but the time of the last error.
func (s Status) sameAs(other Status) bool {
	a, b := s, other
	a.LastError, b.LastError = nil, nil
	aJSON, _ := json.Marshal(a)
	bJSON, _ := json.Marshal(b)
	if (s.LastError == nil) != (other.LastError == nil) || string(aJSON) != string(bJSON) {
		return false
	}
	return s.LastError == nil || s.LastError.Message == other.LastError.Message
}

// ReadStatus reads what the last run left in stateDir. It needs no privilege.
// Where nothing has been written yet the error is fs.ErrNotExist.
func ReadStatus(stateDir string) (Status, error) {
	dir, err := platform.OpenDir(stateDir)
	if err != nil {
		return Status{}, err
	}
	defer func() { _ = dir.Close() }()
	return readStatus(dir)
}

func readStatus(dir *platform.Dir) (Status, error) {
	data, err := dir.ReadFile(statusFile)
	if err != nil {
		return Status{}, err
	}
	var s Status
	if err := json.Unmarshal(data, &s); err != nil {
		return Status{}, fmt.Errorf("%s is damaged (%w); the next run writes it anew", filepath.Join(dir.Path(), statusFile), err)
	}
	return s, nil
}
