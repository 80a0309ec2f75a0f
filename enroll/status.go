package enroll

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"icinga-enroll/pki"
	"icinga-enroll/platform"
	"icinga-enroll/selfservice"
)

const (
	statusFile    = "status.json"
	statusVersion = 1
)

// Status is what any account of this machine may know. It holds no secret.
type Status struct {
	Version      int          `json:"version"`
	Name         string       `json:"name"`
	APIClient    bool         `json:"api_client,omitempty"` // the name is an API client's, and no agent's
	State        Condition    `json:"state"`
	Registered   bool         `json:"registered"`
	KeyForgotten bool         `json:"template_key_forgotten,omitempty"`
	Certificate  *Certificate `json:"certificate,omitempty"`
	Broken       string       `json:"broken,omitempty"` // what has become of the certificate since the last run, which writes none
	Pending      *Waiting     `json:"pending,omitempty"`
	LastError    *LastError   `json:"last_error,omitempty"`
	LastSuccess  time.Time    `json:"last_success,omitzero"`         // when a run last changed something, or mended an error
	Due          time.Time    `json:"due,omitzero"`                  // when the certificate is renewed
	News         string       `json:"changed_in_director,omitempty"` // what the Director says now and the agent has not been made from
	NextStep     string       `json:"next_step"`
}

// LastError is what went wrong in the last run.
type LastError struct {
	Kind     ErrorKind `json:"kind"`
	Message  string    `json:"message"`
	At       time.Time `json:"at"`
	Since    time.Time `json:"since"`    // when runs began to fail
	Attempts int       `json:"attempts"` // how many have failed since then
}

// ErrorKind is what monitoring distinguishes.
type ErrorKind string

// What may have gone wrong.
const (
	KindTemporary   ErrorKind = "temporary"         // may pass
	KindPermanent   ErrorKind = "permanent"         // somebody must act
	KindKeyRejected ErrorKind = "host_key_rejected" // the Director doesn't know the host key any more
	KindClone       ErrorKind = "clone_detected"    // the state was made on another machine
	KindState       ErrorKind = "state_unreadable"  // what is known of this machine can't be read: the status tells what it was before
	KindAgent       ErrorKind = "agent"             // the Icinga agent doesn't do what it should; the certificate is in place
)

func kindOf(err error) ErrorKind {
	var agent *AgentError
	switch {
	case errors.As(err, new(unread)):
		return KindState
	case errors.Is(err, ErrClone):
		return KindClone
	case errors.As(err, &agent):
		return KindAgent
	case errors.Is(err, selfservice.ErrKeyRejected):
		return KindKeyRejected
	case IsTemporary(err):
		return KindTemporary
	default:
		return KindPermanent
	}
}

func newStatus(r Report, err error, now time.Time, before Status) Status {
	s := Status{
		Version:      statusVersion,
		Name:         r.Name,
		APIClient:    r.APIClient,
		State:        r.State,
		Registered:   r.Registered,
		KeyForgotten: r.KeyForgotten,
		Certificate:  r.Certificate,
		Pending:      r.Pending,
		LastSuccess:  before.LastSuccess,
		Due:          r.Next,
		News:         r.News,
	}
	if err == nil {
		err = r.Setback
	}
	if errors.As(err, new(unread)) {
		s.keep(before)
	}
	waits := s.Pending != nil && errors.Is(err, pki.ErrPending)
	switch {
	case !r.KeyRejected.IsZero():
		s.LastError = newLastError(stillRejected(err, r.KeyRejected), now, before.LastError)
	case err != nil && s.State != Pending && !waits:
		s.LastError = newLastError(err, now, before.LastError)
	case r.Changed || before.LastError != nil:
		s.LastSuccess = now.UTC()
	}
	s.NextStep = s.nextStep(r.Unrenewable)
	if errors.As(err, new(newer)) {
		s.NextStep = "install the newer version of icinga-enroll that has written the state"
	}
	if w := (*ticketWaits)(nil); s.asksToSign() && errors.As(err, &w) {
		s.NextStep += ". " + w.doubt()
	}
	return s
}

// keep takes over what a run that could not read the state knows nothing of.
func (s *Status) keep(before Status) {
	s.Name = cmp.Or(before.Name, s.Name)
	s.Registered, s.KeyForgotten = before.Registered, before.KeyForgotten
	s.Certificate, s.Pending, s.Due, s.News = before.Certificate, before.Pending, before.Due, before.News
}

// asksToSign reports whether somebody is to approve the request.
func (s Status) asksToSign() bool {
	return s.Pending != nil && (s.State == Pending || s.LastError == nil)
}

// stillRejected has the Director's refusal of the host key in what went wrong
// since: it stays the news until a key is accepted.
func stillRejected(err error, since time.Time) error {
	switch {
	case errors.Is(err, selfservice.ErrKeyRejected):
		return err
	case err == nil:
		return fmt.Errorf("%w: it refused this host's on %s", selfservice.ErrKeyRejected, since.UTC().Format(time.DateTime))
	default:
		return fmt.Errorf("%w: it refused this host's on %s; since then: %w", selfservice.ErrKeyRejected, since.UTC().Format(time.DateTime), err)
	}
}

func newLastError(err error, now time.Time, before *LastError) *LastError {
	e := &LastError{Kind: kindOf(err), Message: shorten(err.Error()), At: now.UTC(), Since: now.UTC(), Attempts: 1}
	if before != nil {
		e.Since, e.Attempts = before.Since, before.Attempts+1
	}
	return e
}

// maxError, in bytes, is what the status, metrics and hooks have of an error at most:
// others' words are in it, and neither a file that can be read again nor an environment
// takes any length.
const maxError = 4 << 10

func shorten(text string) string {
	if len(text) <= maxError {
		return text
	}
	return strings.ToValidUTF8(text[:maxError], "") + "…"
}

func (s Status) nextStep(unrenewable bool) string {
	switch {
	case s.asksToSign():
		return "on the CA's machine: icinga2 ca sign " + s.Pending.Fingerprint
	case s.LastError != nil && s.LastError.Kind == KindTemporary:
		return "run icinga-enroll once again later, if no service does"
	case s.LastError != nil:
		return "mend what the last error says, then run icinga-enroll once"
	case s.State == Enrolled && unrenewable:
		return "import the next certificate before " + s.Certificate.NotAfter.UTC().Format(time.DateOnly) + "; nobody is known who could renew this one"
	case s.State == Enrolled:
		return "none; the certificate is due for renewal on " + s.Due.UTC().Format(time.DateOnly)
	default:
		return "run icinga-enroll once"
	}
}

// writeStatus replaces the status file where something has changed.
func writeStatus(dir *platform.Dir, s, before Status) error {
	if reflect.DeepEqual(s, before) {
		return nil
	}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	err = dir.WriteFile(statusFile, append(data, '\n'), 0o644, platform.Owner{})
	file := filepath.Join(dir.Path(), statusFile)
	if info, serr := os.Lstat(file); err != nil && serr == nil && info.IsDir() {
		return fmt.Errorf("%s is a folder where the status file should be: remove it", file)
	}
	return err
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
	if err := s.check(); err != nil {
		return Status{}, fmt.Errorf("%s is damaged or another version's: %w", filepath.Join(dir.Path(), statusFile), err)
	}
	return s, nil
}

// check refuses what no run of this version leaves.
func (s Status) check() error {
	c, p, e := s.Certificate, s.Pending, s.LastError
	switch {
	case s.Version != statusVersion:
		return fmt.Errorf("it has format %d, this program knows format %d; the next run of this version writes it anew", s.Version, statusVersion)
	case !slices.Contains([]Condition{Enrolled, Pending, Failed}, s.State):
		return fmt.Errorf("there is no state %.40q; the next run writes it anew", s.State)
	case c != nil && (c.NotBefore.IsZero() || c.NotAfter.IsZero() || c.File == ""), s.State == Enrolled && c == nil:
		return errors.New("it doesn't tell which certificate there is; the next run writes it anew")
	case p != nil && p.Since.IsZero(), e != nil && (e.At.IsZero() || e.Since.IsZero()):
		return errors.New("a date is missing in it; the next run writes it anew")
	}
	return nil
}
