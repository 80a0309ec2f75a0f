package selfservice

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// What a caller may branch on; all are permanent. Test for them with
// [errors.Is].
var (
	// ErrAlreadyRegistered: the host exists and has a key, which only the one
	// who registered it knows.
	ErrAlreadyRegistered = errors.New("the host is already registered")
	// ErrKeyRejected: the Director knows no such key. For a host key the host
	// was deleted or its key dropped; the two look the same.
	ErrKeyRejected = errors.New("the Director does not know this key")
	// ErrNotAgent: the host, or the template, is not configured as an agent.
	ErrNotAgent = errors.New("the host or template is no Icinga agent")
	// ErrAnswerLost: the Director may have registered the host, but its key
	// did not arrive.
	ErrAnswerLost = errors.New("the answer to a registration was lost")
)

// Error is what every failed call returns. Its text says what to do next and
// holds neither a key nor a query string.
type Error struct {
	// Call is the failed call as the URL names it, such as "register-host".
	Call string
	// Status is the answer's HTTP status; 0 means that there was no answer.
	Status int
	// Message is what the Director said, or what happened instead of an
	// answer: shortened, control characters escaped, secrets taken out.
	Message string
	// RetryAfter is how long the server asked to be left alone, at most a
	// day; 0 means that it did not say.
	RetryAfter time.Duration

	server    string // host and port
	advice    string // what to do next; a sentence or more
	temporary bool
	causes    []error // sentinels, or why the context ended
}

// Error says what failed, why, and what to do next.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s failed: ", e.Call, e.server)
	if e.Status != 0 {
		fmt.Fprintf(&b, "HTTP status %d: ", e.Status)
	}
	b.WriteString(e.Message)
	if e.advice != "" {
		if !strings.HasSuffix(e.Message, ".") {
			b.WriteByte('.')
		}
		b.WriteByte(' ')
		b.WriteString(e.advice)
	}
	return b.String()
}

// Temporary reports whether the same call may work later without anybody
// having done something.
func (e *Error) Temporary() bool { return e.temporary }

// Unwrap gives the sentinels, and the context's error if the context ended. An
// error of the network is not among them: its text may repeat what the server
// sent.
func (e *Error) Unwrap() []error { return e.causes }
