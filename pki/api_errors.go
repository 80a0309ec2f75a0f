package pki

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// What a caller of [API] branches on, with errors.Is. All are permanent.
var (
	// ErrUnauthorized is a 401: nobody has this password, or this certificate.
	ErrUnauthorized = errors.New("the API does not know the asker")
	// ErrForbidden is an ApiUser without the permission for the call, of which
	// Icinga 2.13.6 says with a 404 that there is no such thing.
	ErrForbidden = errors.New("the ApiUser lacks a permission")
	// ErrNoSalt is a node that can't make tickets.
	ErrNoSalt = errors.New("the node has no ticket_salt")
)

// UnauthorizedError is a 401 for a password, or for a certificate that is valid,
// of the right CA, and of no ApiUser. It is [ErrUnauthorized].
type UnauthorizedError struct {
	// User is whose password was refused; "" with a certificate.
	User string
	// ClientCN is the common name of the certificate; "" with a password.
	ClientCN string
	// Permission is what the call would have needed; "": none.
	Permission string
}

// Error says what to correct.
func (e *UnauthorizedError) Error() string {
	if e.ClientCN == "" {
		return fmt.Sprintf("Icinga's API refused the user %q (401): no ApiUser of this node has this name and this password; "+
			"compare with `object ApiUser` in its configuration, and reload Icinga after a change there", e.User)
	}
	return fmt.Sprintf("Icinga's API refused the certificate %q (401): object ApiUser %s { client_cn = %s } is missing in the node's configuration; "+
		"add it, and reload Icinga", e.ClientCN, literal(e.ClientCN), literal(e.ClientCN))
}

// Is makes it [ErrUnauthorized].
func (e *UnauthorizedError) Is(target error) bool { return target == ErrUnauthorized }

// Temporary is false: somebody has to change something.
func (e *UnauthorizedError) Temporary() bool { return false }

// Object returns the `object ApiUser` that is missing, in Icinga's language and
// with a newline at its end, to be pasted into the node's configuration; "" with
// a password, since a user of that name may well exist.
func (e *UnauthorizedError) Object() string {
	if e.ClientCN == "" {
		return ""
	}
	permissions := `[ ] // what it may do, such as "objects/query/*"`
	if e.Permission != "" {
		permissions = "[ " + literal(e.Permission) + " ]"
	}
	return fmt.Sprintf("object ApiUser %s {\n  client_cn = %s\n  permissions = %s\n}\n", literal(e.ClientCN), literal(e.ClientCN), permissions)
}

// literal is a string of Icinga's language. Of its escapes a name needs these
// two at most: control characters are not in a name that works.
func literal(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s) + `"`
}

// refusal explains a status other than 200.
func (a *API) refusal(c apiCall, answer apiAnswer) error {
	message := a.clean(apiMessage(answer.body))
	switch {
	case answer.status == http.StatusUnauthorized:
		return a.unauthorized(c, answer)
	case answer.status >= 300 && answer.status < 400:
		return notIcinga(a.Address, fmt.Sprintf("it redirects (%d), which Icinga does for no API call", answer.status))
	case isTemporary(answer.status):
		return &failure{text: fmt.Sprintf("Icinga's API can't answer now (%d %s): it reloads or is busy; try again", answer.status, message), temporary: true}
	case message == "":
		return notIcinga(a.Address, fmt.Sprintf("it answers %d without Icinga's JSON", answer.status))
	case answer.status == http.StatusForbidden || answer.status == http.StatusNotFound:
		return a.forbidden(c, answer.status, message)
	case answer.status == http.StatusInternalServerError && strings.Contains(message, "salt is not configured"):
		text := "it can't make tickets, since it has no ticket_salt in `object ApiListener`: ask the master that holds the CA, or set TicketSalt there and reload Icinga"
		return &failure{text: text, kind: ErrNoSalt}
	}
	return permanent("Icinga's API refused the request (%d): %s (its log says more)", answer.status, message)
}

func isTemporary(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// apiMessage returns the text of an error, which has two shapes, or "".
func apiMessage(body []byte) string {
	var document struct {
		Status  string
		Results []struct{ Status string }
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return ""
	}
	if len(document.Results) > 0 {
		return document.Results[0].Status
	}
	return document.Status
}

// unauthorized finds out why. A certificate that the server's CA did not sign,
// or that has expired, counts for nothing (observed on Icinga 2 2.13.6), and no
// ApiUser would help.
func (a *API) unauthorized(c apiCall, answer apiAnswer) error {
	if a.Certificate == nil {
		return &UnauthorizedError{User: a.User, Permission: c.permission}
	}
	chain, name, err := a.own()
	if err != nil {
		return err
	}
	clock := Client{Now: a.Now}
	if err := clientFault(chain, answer.ca, clock.now()); err != nil {
		var says interface{ Temporary() bool }
		wait := errors.As(err, &says) && says.Temporary() // not valid yet: a clock may be wrong
		return &failure{text: "Icinga's API does not accept the client certificate (401)", kind: ErrUnauthorized, cause: err, temporary: wait}
	}
	return &UnauthorizedError{ClientCN: name, Permission: c.permission}
}

// clientFault says why Icinga takes no notice of a client certificate; nil: it
// does. [Trust.Verify] alone would blame the server for another CA's.
func clientFault(chain []*x509.Certificate, ca *x509.Certificate, now time.Time) error {
	roots := []*x509.Certificate{ca}
	var unknown x509.UnknownAuthorityError
	if _, err := verify(chain, roots, now); errors.As(err, &unknown) && !chain[0].IsCA {
		return permanent("%q was signed by %q, and only a certificate of this Icinga's own CA counts, %s: have that CA sign one",
			chain[0].Subject, chain[0].Issuer, describeCA(ca))
	}
	_, err := Trust{Roots: roots}.Verify(chain, now)
	return err
}

func (a *API) forbidden(c apiCall, status int, message string) error {
	if c.permission == "" {
		return permanent("Icinga's API does not know /v1/%s (%d): %s", c.path, status, message)
	}
	user := fmt.Sprintf("the ApiUser %q", a.User)
	if a.Certificate != nil {
		user = "the ApiUser of this certificate"
	}
	text := fmt.Sprintf("%s may not do this: add %s to the permissions of its `object ApiUser`, and reload Icinga (it answered %d: %s)",
		user, literal(c.permission), status, message)
	return &failure{text: text, kind: ErrForbidden}
}

// notIcinga is an answer that Icinga's API doesn't give.
func notIcinga(address, why string) error {
	return permanent("%s does not answer as Icinga's API does (is it Icinga's port, 5665?): %s", address, why)
}
