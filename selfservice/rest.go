package selfservice

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"icinga-enroll/enroll/secret"
)

// Controller talks to one Director's REST API as a user of Icinga Web. The
// user needs the permissions module/director, director/api and director/hosts,
// and director/deploy for [Controller.Deploy]; with them it can read the key of
// every host that it sees. It is safe for concurrent use.
//
// What a Director or the way to it answers is an [*Error]. A call whose answer
// got lost may have been carried out: made again, it is then [ErrHostExists],
// [ErrNoHost] after a deletion, or changes nothing.
type Controller struct {
	client *Client
}

// login is a user of Icinga Web.
type login struct {
	user     string
	password secret.Text
}

// secrets are the forms in which the password travels.
func (l *login) secrets() []string {
	password := l.password.Reveal()
	return []string{base64.StdEncoding.EncodeToString([]byte(l.user + ":" + password)), password}
}

// NewController returns a client of the Director at baseURL; see [New] for it
// and o. It connects to nothing.
func NewController(baseURL string, o Options, user string, password secret.Text) (*Controller, error) {
	switch {
	case user == "" || password.IsZero():
		return nil, errors.New("the Director's REST API needs the name and the password of an Icinga Web user")
	case strings.Contains(user, ":"):
		return nil, errors.New("the name of an Icinga Web user that logs in over HTTP can't contain a colon")
	}
	c, err := New(baseURL, o)
	if err != nil {
		return nil, err
	}
	c.login = &login{user, password}
	return &Controller{c}, nil
}

// Close closes the connections that are idle. The controller can still be used.
func (c *Controller) Close() { c.client.Close() }

// onHost begins a call about the host, or other object, of that name. Its errors quote the name, which is
// not secret.
func onHost(method, path, name string) call {
	return call{
		name:   fmt.Sprintf("%s %s %.100q", method, path, name),
		method: method,
		path:   path,
		query:  url.Values{"name": {name}},
		limit:  callLimit,
	}
}

// Host returns the host, or the host template, of that name: what is set on
// itself, not what it inherits. It is [ErrNoHost] if there is none.
//
// What it inherits is not asked for: with it, the Director shows the key of the
// host's template as if it were the host's own.
func (c *Controller) Host(ctx context.Context, name string) (Host, error) {
	k := onHost(http.MethodGet, "host", name)
	answer, err := c.client.do(ctx, k)
	if err != nil {
		return Host{}, err
	}
	h, err := decodeHost(answer)
	if err != nil {
		return Host{}, c.client.unreadable(k, http.StatusOK, err)
	}
	return h, nil
}

// IsAgent reports whether the host, or the hosts of the host template, of that
// name are Icinga agents, by what is set on itself and what it inherits; said is
// whether any of these says so or otherwise. It is [ErrNoHost] if there is none.
func (c *Controller) IsAgent(ctx context.Context, name string) (is, said bool, err error) {
	k := onHost(http.MethodGet, "host", name)
	k.query.Set("resolved", "1")
	answer, err := c.client.do(ctx, k)
	if err != nil {
		return false, false, err
	}
	var h struct {
		HasAgent *flag `json:"has_agent"`
	}
	if err := json.Unmarshal(answer, &h); err != nil { // not err: it could hold the template's key
		return false, false, c.client.unreadable(k, http.StatusOK, errors.New("the answer is not a host object"))
	}
	said = h.HasAgent != nil
	return said && bool(*h.HasAgent), said, nil
}

// HasEndpoint reports whether the Director has an endpoint object of that name,
// in whatever case. An agent that is a host there has none: ask for its [Host].
// It takes the permission director/admin, else the error is [ErrNoPermission]
// (observed on Director 1.10.2).
func (c *Controller) HasEndpoint(ctx context.Context, name string) (bool, error) {
	k := onHost(http.MethodGet, "endpoint", name)
	answer, err := c.client.do(ctx, k)
	if errors.Is(err, ErrNoHost) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var e struct {
		Name text `json:"object_name"`
	}
	if err := json.Unmarshal(answer, &e); err != nil || !strings.EqualFold(string(e.Name), name) {
		return false, c.client.unreadable(k, http.StatusOK, errors.New("the answer is not the endpoint object"))
	}
	return true, nil
}

// CreateHost makes a host of spec. It is [ErrHostExists] if a host or template
// has the name already, in whatever case, and is then left as it is.
func (c *Controller) CreateHost(ctx context.Context, spec HostSpec) error {
	k := onHost(http.MethodPost, "host", spec.Name)
	k.query = nil // the name is in the body: in the query it would be that of a host to change
	k.good = http.StatusCreated
	_, err := c.send(ctx, k, spec, spec.created())
	return err
}

// UpdateHost gives the host name what spec has, except for spec's name, and
// leaves the rest as it is; imports are replaced as a whole, variables one by
// one. It reports whether anything differed. It is [ErrNoHost] if there is none.
// A template of that name is changed, too: look at its [Host] before.
func (c *Controller) UpdateHost(ctx context.Context, name string, spec HostSpec) (changed bool, err error) {
	k := onHost(http.MethodPost, "host", name)
	k.unchanged = true
	return c.send(ctx, k, spec, spec.changed())
}

// SetHostKey gives the host a key of the self-service API in place of the one
// it has, if any. The Director takes up to 40 characters, and refuses a key
// that another host or template has.
func (c *Controller) SetHostKey(ctx context.Context, name string, key secret.Text) error {
	if key.IsZero() {
		return errors.New("internal error: an empty key would drop the host's key")
	}
	_, err := c.UpdateHost(ctx, name, HostSpec{Key: key})
	return err
}

// DropHostKey takes the host's key away, if it has one, so that it can be
// registered again. An agent that still uses the key loses access.
func (c *Controller) DropHostKey(ctx context.Context, name string) error {
	k := onHost(http.MethodPost, "host", name)
	k.unchanged = true
	_, err := c.send(ctx, k, HostSpec{}, map[string]any{"api_key": nil})
	return err
}

// DeleteHost removes the host, from the Director at once and from the master
// with the next deployment. It is [ErrNoHost] if there is none. It removes a
// template, too, unless a host uses it.
func (c *Controller) DeleteHost(ctx context.Context, name string) error {
	_, err := c.client.do(ctx, onHost(http.MethodDelete, "host", name))
	return err
}

// Ticket returns the ticket with which a certificate is signed for the host.
// It is [ErrNoHost] if there is none, and [ErrNotAgent] if it is no agent.
func (c *Controller) Ticket(ctx context.Context, name string) (secret.Text, error) {
	k := onHost(http.MethodGet, "host/ticket", name)
	answer, err := c.client.do(ctx, k)
	if err != nil {
		return secret.Text{}, err
	}
	ticket, err := decodeTicket(answer)
	if err != nil {
		return secret.Text{}, c.client.unreadable(k, http.StatusOK, err)
	}
	return ticket, nil
}

// send posts a host's properties, which are spec's, after a look at spec's
// imports. It reports whether they differed from what the Director had.
func (c *Controller) send(ctx context.Context, k call, spec HostSpec, properties map[string]any) (changed bool, err error) {
	missing, err := c.checkImports(ctx, k, spec.Imports)
	if err != nil {
		return false, err
	}
	k.hidden = spec.Key
	if k.body, err = json.Marshal(properties); err != nil { // not err: it may hold the key
		return false, errors.New("the host's variables can't be written as JSON")
	}
	answer, err := c.client.do(ctx, k)
	var e *Error
	if errors.As(err, &e) && errors.Is(err, errNoImport) {
		e.advice = fmt.Sprintf("No such template: %.100q. Correct the name, or make the template in the Director.",
			cmp.Or(missing, strings.Join(spec.Imports, ", ")))
	}
	return answer != nil, err
}

// checkImports refuses a host among the templates. The Director would take it,
// and afterwards neither change nor delete the new host, nor deploy anything.
// missing is the first that isn't there, or is hidden by a restriction of the
// user's role; the Director can still use those, and says if it can't, though
// not which.
func (c *Controller) checkImports(ctx context.Context, k call, imports []string) (missing string, err error) {
	for _, name := range imports {
		h, err := c.Host(ctx, name)
		switch {
		case errors.Is(err, ErrNoHost):
			missing = cmp.Or(missing, name)
		case err != nil:
			return "", err
		case h.Type != "template":
			e := c.client.newError(k, fmt.Sprintf("%.100q is a host and no template, and can't be imported", name))
			e.advice = "Name a host template of the Director."
			return "", e
		}
	}
	return missing, nil
}
