package pki

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"icinga-enroll/enroll/secret"
)

const (
	maxAPIBody   = 16 << 20 // bytes of an answer
	maxAPIHeader = 64 << 10 // bytes of its headers
)

type apiCall struct {
	method     string
	path       string // below /v1/
	query      url.Values
	body       []byte // JSON
	permission string // that Icinga asks for; "": none
}

// apiAnswer is an answer, and the CA of who gave it.
type apiAnswer struct {
	status int
	body   []byte
	ca     *x509.Certificate
}

// call decodes the "results" of the answer.
func (a *API) call(ctx context.Context, c apiCall, results any) error {
	if err := a.usable(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	answer, err := a.exchange(ctx, c)
	if err != nil {
		return err
	}
	if answer.status != http.StatusOK {
		return fmt.Errorf("%s: %w", a.Address, a.refusal(c, answer))
	}
	document := struct{ Results any }{results}
	if err := json.Unmarshal(answer.body, &document); err != nil || document.Results == nil {
		return notIcinga(a.Address, "its answer is not the JSON that was asked for")
	}
	return nil
}

// usable refuses what would be refused by the server, or sent to anybody.
func (a *API) usable() error {
	switch {
	case a.Certificate != nil && (a.User != "" || !a.Password.IsZero()):
		return permanent("Icinga's API takes a password or a certificate, and looks at the certificate first: give one of them")
	case a.Certificate != nil:
		_, _, err := a.own()
		return err
	case a.User == "" || a.Password.IsZero():
		return permanent("Icinga's API wants an ApiUser and its password, or a client certificate: give one of them")
	case strings.Contains(a.User, ":"):
		return permanent("the ApiUser %q can't have a password in HTTP, where a colon ends the name: use a certificate or another user", a.User)
	case len(a.Names) == 0:
		return permanent("no password is sent to %s without knowing its name, since every node of the fleet has a certificate of the same CA: name the endpoint as name@host:port", a.Address)
	}
	return nil
}

// own returns the certificates to be shown, and the name in the first.
func (a *API) own() ([]*x509.Certificate, string, error) {
	chain, err := x509.ParseCertificates(bytes.Join(a.Certificate.Certificate, nil))
	if err != nil || len(chain) == 0 {
		return nil, "", permanentCause(err, "the client certificate can't be read")
	}
	name, err := commonName(chain[0])
	return chain, name, err
}

// exchange opens a connection for one request.
func (a *API) exchange(ctx context.Context, c apiCall) (apiAnswer, error) {
	request, err := a.request(ctx, c)
	if err != nil {
		return apiAnswer{}, permanentCause(err, "%q is no address: write host:port, [host]:port for IPv6", a.Address)
	}
	client := &Client{Trust: a.Trust, Dial: a.Dial, Now: a.Now, certificate: a.Certificate}
	conn, peer, err := client.open(ctx, Endpoint{Address: a.Address, Names: a.Names})
	if err != nil {
		return apiAnswer{}, err
	}
	defer func() { _ = conn.Close() }()                                   // the answer has been read, or there is none
	stop := context.AfterFunc(ctx, func() { _ = conn.NetConn().Close() }) // TLS would wait to say goodbye
	defer stop()
	response, err := oneRequest(conn).RoundTrip(request)
	if err != nil {
		return apiAnswer{}, a.exchangeError(ctx, err)
	}
	defer func() { _ = response.Body.Close() }() // the connection is closed anyway
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAPIBody+1))
	if err != nil {
		return apiAnswer{}, a.exchangeError(ctx, err)
	}
	if len(body) > maxAPIBody {
		return apiAnswer{}, notIcinga(a.Address, fmt.Sprintf("its answer is longer than %d bytes", maxAPIBody))
	}
	return apiAnswer{response.StatusCode, body, peer.CA}, nil
}

func (a *API) request(ctx context.Context, c apiCall) (*http.Request, error) {
	target := url.URL{Scheme: "https", Host: a.Address, Path: "/v1/" + c.path, RawQuery: c.query.Encode()}
	request, err := http.NewRequestWithContext(ctx, c.method, target.String(), bytes.NewReader(c.body))
	if err != nil {
		return nil, errors.New("it does not fit into a URL") // err would show the query
	}
	request.Header.Set("Accept", "application/json") // without it Icinga answers in HTML
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "icinga-enroll")
	if a.Certificate == nil {
		request.SetBasicAuth(a.User, a.Password.Reveal())
	}
	return request, nil
}

// oneRequest is HTTP/1.1 on a connection that is open and verified. A bare
// transport follows no redirect; it has no proxy either.
func oneRequest(conn net.Conn) *http.Transport {
	return &http.Transport{
		DialTLSContext:         func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAPIHeader,
	}
}

func (a *API) exchangeError(ctx context.Context, err error) error {
	var alert *net.OpError
	switch {
	case ctx.Err() != nil:
		return noAnswerInTime(ctx, a.Address)
	case errors.As(err, &alert) && alert.Op == "remote error": // TLS 1.3 tells it after the handshake
		return permanentCause(err, "%s refused the TLS connection after it had seen the client certificate", a.Address)
	case isNetwork(err) || strings.Contains(err.Error(), "server closed idle connection"):
		text := a.Address + " closed the connection before its answer was complete: it is busy or restarting, or a proxy stands before it; try again"
		return &failure{text: text, kind: ErrNoAnswer, temporary: true}
	}
	return notIcinga(a.Address, a.clean(err.Error()))
}

// clean is for a server's text: an echo of the request would show the password.
func (a *API) clean(text string) string {
	credentials := base64.StdEncoding.EncodeToString([]byte(a.User + ":" + a.Password.Reveal()))
	return clean(text, a.Password, secret.New(credentials))
}
