package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"icinga-enroll/enroll/secret"
)

// What a caller branches on, with errors.Is.
var (
	// ErrPending is a request that waits for an administrator; see [PendingError].
	ErrPending = errors.New("the certificate request is waiting for approval")
	// ErrNotDue is a renewal that the CA refuses since the certificate is
	// valid for 30 days or more. It is a kind of [RefusedError].
	ErrNotDue = errors.New("the certificate is not due for renewal")
	// ErrInvalidTicket is a ticket that the CA refuses. It is a kind of
	// [RefusedError].
	ErrInvalidTicket = errors.New("the ticket is invalid")
	// ErrUntrusted is a chain that [Trust] does not accept. Permanent.
	ErrUntrusted = errors.New("the certificate is not trusted")
	// ErrWrongPeer is a trusted peer that is none of [Endpoint.Names]. Permanent.
	ErrWrongPeer = errors.New("the peer is another node")
	// ErrNoAnswer is a connection that the server closed before it answered. Temporary.
	ErrNoAnswer = errors.New("the server closed the connection without an answer")
)

// PendingError is an answer and no failure: present the same request
// certificate again later. It is [ErrPending].
type PendingError struct {
	// Fingerprint names the request in `icinga2 ca list`.
	Fingerprint string
	// CA is what the server said its CA is; verified by nobody, may be empty.
	CA []*x509.Certificate
}

// Error says how to approve the request.
func (e *PendingError) Error() string {
	return fmt.Sprintf("%v: run `icinga2 ca sign %s` on the master that holds the CA", ErrPending, e.Fingerprint)
}

// Is makes it [ErrPending].
func (e *PendingError) Is(target error) bool { return target == ErrPending }

// RefusedError is the CA's refusal of a request (status 1). Permanent.
type RefusedError struct {
	// Message is the server's, with control characters escaped and cut to a
	// sane length.
	Message string
}

// Error gives the server's message, and what to do about those that are known.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the CA refused the request: %s %s", e.Message, advice(e.Message))
}

// Is makes it [ErrNotDue] or [ErrInvalidTicket] if it is.
func (e *RefusedError) Is(target error) bool {
	return target == ErrNotDue && notDue(e.Message) || target == ErrInvalidTicket && invalidTicket(e.Message)
}

// Temporary is false: the same request gets the same refusal.
func (e *RefusedError) Temporary() bool { return false }

// notDue recognises the texts of 2.13 ("valid and uptodate") and of later ones,
// which speak of the CA as well.
func notDue(message string) bool { return strings.Contains(message, "uptodate") }

func invalidTicket(message string) bool { return strings.Contains(message, "Invalid ticket") }

func advice(message string) string {
	switch {
	case notDue(message):
		return "(Icinga renews a certificate in its last 30 days: try again then, or ask with a new key and a ticket)"
	case invalidTicket(message):
		return "(a ticket is for one name and one salt: the host was renamed in the Director, its name differs in upper and lower case, or the TicketSalt of the master was changed; fetch a new ticket)"
	case strings.Contains(message, "declined by administrator"):
		return "(run `icinga2 ca restore` with its fingerprint, as `icinga2 ca list --removed` shows it, on the master, or discard-request here to ask anew)"
	}
	return "(Icinga's log on the master says more)"
}

// failure is every other error of this package.
type failure struct {
	text      string
	kind      error // a sentinel, or nil
	cause     error // or nil
	temporary bool
}

func (e *failure) Error() string {
	if e.cause == nil {
		return e.text
	}
	return e.text + ": " + e.cause.Error()
}

func (e *failure) Unwrap() []error {
	var wrapped []error
	for _, err := range []error{e.kind, e.cause} {
		if err != nil {
			wrapped = append(wrapped, err)
		}
	}
	return wrapped
}

func (e *failure) Temporary() bool { return e.temporary }

func permanent(format string, args ...any) error {
	return &failure{text: fmt.Sprintf(format, args...)}
}

func permanentCause(cause error, format string, args ...any) error {
	return &failure{text: fmt.Sprintf(format, args...), cause: cause}
}

func temporaryCause(cause error, format string, args ...any) error {
	return &failure{text: fmt.Sprintf(format, args...), cause: cause, temporary: true}
}

// signingCause is for what a key was to sign: it may pass where its cause may, as a
// TPM that is locked does.
func signingCause(cause error, format string, args ...any) error {
	var says interface{ Temporary() bool }
	passes := errors.As(cause, &says) && says.Temporary()
	return &failure{text: fmt.Sprintf(format, args...), cause: cause, temporary: passes}
}

func untrusted(format string, args ...any) error {
	return &failure{text: fmt.Sprintf(format, args...), kind: ErrUntrusted}
}

const maxMessage = 300 // bytes of a server's text that an error shows

// keyLike matches what could be a key or a ticket, in whatever case.
var keyLike = regexp.MustCompile(`[0-9A-Fa-f]{40,}`)

// clean makes a server's text fit for a terminal and a log: one line, no
// control or invisible characters, not endless, and without the secrets.
func clean(text string, secrets ...secret.Text) string {
	for _, s := range secrets {
		if !s.IsZero() {
			text = strings.ReplaceAll(text, s.Reveal(), s.String())
		}
	}
	text = keyLike.ReplaceAllString(text, "[redacted]")
	if len(text) > maxMessage {
		text = text[:maxMessage] + "..."
	}
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
