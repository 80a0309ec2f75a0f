package pki

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"icinga-enroll/enroll/secret"
)

// API is the HTTP API that an Icinga 2 node has on the port of its cluster
// protocol. It authenticates with User and Password, or with Certificate: both
// are an error, since Icinga would look at the certificate first (observed on
// 2.13.6). No redirect is followed and no proxy is used. It can be used by
// several goroutines at once.
//
// Before a byte of HTTP is written, the peer's chain is verified against Trust
// and its name against Names; a password without Names is an error. A call ends
// after 30 seconds, or with its context, and an answer of more than 16 MiB is an
// error (an endpoint takes some 200 bytes).
//
// Errors of every call: [ErrUntrusted], [ErrWrongPeer], [ErrUnauthorized] (also
// [UnauthorizedError]), [ErrForbidden], [ErrNoAnswer], or about the connection
// or an answer that is none of Icinga's.
type API struct {
	// Address is host:port; Icinga's port is 5665.
	Address string
	// Trust is what the peer must be signed by.
	Trust Trust
	// Names are the common names of which the peer must have one.
	Names []string
	// User is the name of the `object ApiUser` whose Password is sent.
	User     string
	Password secret.Text
	// Certificate is shown in the TLS handshake, whatever CA the server asks
	// for. An ApiUser must have its common name as client_cn.
	Certificate *tls.Certificate
	// Dial and Now are as those of [Client].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Now  func() time.Time
}

// Identity is who the API takes the asker for.
type Identity struct {
	// User is the name of the `object ApiUser`.
	User string
	// Permissions are as Icinga prints them: "actions/*", or with a filter
	// "objects/query/Host (filtered)".
	Permissions []string
}

// EndpointState is how the node that was asked sees an endpoint.
type EndpointState struct {
	Name string
	// Connected is false for the node itself.
	Connected bool
}

// GenerateTicket has the node make the ticket for a common name: any name that
// is not empty, whether there is such a host or not. It needs the permission
// "actions/generate-ticket" and a ticket_salt on the node: without one,
// [ErrNoSalt].
func (a *API) GenerateTicket(ctx context.Context, cn string) (secret.Text, error) {
	if cn == "" { // Icinga 2.13.6 makes a ticket for it
		return secret.Text{}, permanent("a ticket needs a common name: give the node a name")
	}
	body, err := json.Marshal(map[string]string{"cn": cn})
	if err != nil {
		return secret.Text{}, permanentCause(err, "the name %q can't be written as JSON", cn)
	}
	const action = "actions/generate-ticket"
	var results []struct{ Ticket string }
	if err := a.call(ctx, apiCall{method: http.MethodPost, path: action, body: body, permission: action}, &results); err != nil {
		return secret.Text{}, err
	}
	if len(results) != 1 || !printable(results[0].Ticket) {
		return secret.Text{}, notIcinga(a.Address, "its answer holds no ticket")
	}
	return secret.New(results[0].Ticket), nil
}

// printable reports whether s is a word of plain ASCII, as a ticket is.
func printable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// WhoAmI asks which ApiUser the password or the certificate belongs to. It needs
// no permission.
func (a *API) WhoAmI(ctx context.Context) (Identity, error) {
	var results []Identity
	if err := a.call(ctx, apiCall{method: http.MethodGet}, &results); err != nil {
		return Identity{}, err
	}
	if len(results) != 1 || results[0].User == "" {
		return Identity{}, notIcinga(a.Address, "its answer names no user")
	}
	return results[0], nil
}

// Endpoints returns every endpoint that the node knows and the asker may see. It
// needs the permission "objects/query/Endpoint".
func (a *API) Endpoints(ctx context.Context) ([]EndpointState, error) {
	var results []struct{ Attrs EndpointState }
	call := apiCall{method: http.MethodGet, path: "objects/endpoints", permission: "objects/query/Endpoint",
		query: url.Values{"attrs": {"name", "connected"}}}
	if err := a.call(ctx, call, &results); err != nil {
		return nil, err
	}
	states := make([]EndpointState, len(results))
	for i, r := range results {
		states[i] = r.Attrs
	}
	return states, nil
}

// Started returns when the node began to work with the configuration that it
// has: a reload begins anew (program_start, observed on 2.13.6). It needs the
// permission "status/query".
func (a *API) Started(ctx context.Context) (time.Time, error) {
	var results []struct {
		Status struct {
			Application struct {
				App struct {
					Started float64 `json:"program_start"`
				}
			} `json:"icingaapplication"`
		}
	}
	call := apiCall{method: http.MethodGet, path: "status/IcingaApplication", permission: "status/query"}
	if err := a.call(ctx, call, &results); err != nil {
		return time.Time{}, err
	}
	if len(results) != 1 || instant(results[0].Status.Application.App.Started).IsZero() {
		return time.Time{}, notIcinga(a.Address, "its answer doesn't say when it was started")
	}
	return instant(results[0].Status.Application.App.Started), nil
}

// instant returns the time that Icinga writes as seconds since 1970; 0, and what
// is no time, is the zero time.
func instant(seconds float64) time.Time {
	if seconds <= 0 || seconds > math.MaxUint32 {
		return time.Time{}
	}
	return time.UnixMicro(int64(seconds * 1e6))
}
