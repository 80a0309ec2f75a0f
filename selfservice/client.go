// Package selfservice is a client of Icinga Director's self-service API: it
// registers a host with a template's key, asks for the host's parameters and
// fetches its certificate ticket. With a user of Icinga Web, a [Controller]
// prepares hosts by the Director's REST API.
//
// Three rules shape it. Registering is sent once: the Director gives a host's
// key away a single time, so what became of a request whose answer is lost is
// told apart from what was never sent (see [ErrAnswerLost]). Keys travel in
// the query of the URL, so no URL is part of an error, and a key that the
// Director echoes is taken out of its message. Nothing is retried, followed or
// logged here: whether a call may be tried again is a property of its error
// (see [Error.Temporary]).
package selfservice

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"time"

	"icinga-enroll/enroll/secret"
)

// Time limits of one call, from dialling to the last byte of the answer.
// Registering waits longer: a Director whose PHP workers were all busy took 16
// seconds to answer, and giving up on it means a lost key.
const (
	callLimit     = 30 * time.Second
	registerLimit = 2 * time.Minute
	dialLimit     = 10 * time.Second // also the limit of the TLS handshake
)

// idleLimit is how long an unused connection is kept. It is below the 5
// seconds of Apache's default KeepAliveTimeout, so that a request is not
// written to a connection which the server is just closing.
const idleLimit = 4 * time.Second

// maxHeader limits the header of an answer, in bytes; see maxBody for the rest.
const maxHeader = 64 << 10

// Options say how a Director is reached. The zero value is usable.
type Options struct {
	// RootCAs verify the Director's certificate; nil means the system's roots.
	RootCAs *x509.CertPool
	// Proxy is an http, https or socks5 proxy; nil means what HTTPS_PROXY,
	// HTTP_PROXY and NO_PROXY say when New is called.
	Proxy *url.URL
	// AllowInsecureHTTP permits an http:// URL. Keys and the ticket are then
	// readable on the way.
	AllowInsecureHTTP bool
	// UserAgent is sent with every call; empty means "icinga-enroll".
	UserAgent string
}

// Client talks to one Director over connections that are kept alive between
// calls. It is safe for concurrent use.
type Client struct {
	base      *url.URL
	userAgent string
	transport *http.Transport
	login     *login // of the REST API; nil: the self-service API, which has none
}

// New returns a client of the Director at baseURL, such as
// "https://icinga.example.com/icingaweb2/director". It connects to nothing; an
// error means that baseURL or o is wrong.
func New(baseURL string, o Options) (*Client, error) {
	base, err := parseBase(baseURL, o.AllowInsecureHTTP)
	if err != nil {
		return nil, err
	}
	proxy, err := chooseProxy(base, o.Proxy)
	if err != nil {
		return nil, err
	}
	return &Client{
		base:      base,
		userAgent: cmp.Or(o.UserAgent, "icinga-enroll"),
		transport: newTransport(o.RootCAs, proxy),
	}, nil
}

// newTransport speaks HTTP/1.1 only. It sends a request a second time in one
// case alone: when an idle connection turned out to be closed before a byte
// was written to it. HTTP/2 would add cases of its own.
func newTransport(roots *x509.CertPool, proxy *url.URL) *http.Transport {
	var http1 http.Protocols
	http1.SetHTTP1(true)
	return &http.Transport{
		Protocols:              &http1,
		Proxy:                  http.ProxyURL(proxy),
		OnProxyConnectResponse: checkProxy,
		DialContext:            (&net.Dialer{Timeout: dialLimit}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialLimit,
		DisableCompression:     true,
		IdleConnTimeout:        idleLimit,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// Close closes the connections that are idle. The client can still be used.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// HostProperties are what a host says about itself when it registers. An empty
// one is not sent: the Director answers a null with an internal error, and a
// property of a host that exists already is only replaced by one that is sent.
type HostProperties struct {
	DisplayName string `json:"display_name,omitempty"`
	Address     string `json:"address,omitempty"`
	Address6    string `json:"address6,omitempty"`
}

// Register makes the host name, with p, from the template that templateKey
// belongs to, and returns the host's own key. The Director gives that key once:
// keep it before anything else is done.
//
// A host that exists without a key gets one and takes over the properties that
// are sent; one that has a key is [ErrAlreadyRegistered]. The request is never
// sent twice. When it may have been carried out but no key came back, the
// error is [ErrAnswerLost].
func (c *Client) Register(ctx context.Context, templateKey secret.Text, name string, p HostProperties) (secret.Text, error) {
	body, err := json.Marshal(p)
	if err != nil {
		return secret.Text{}, err
	}
	k := selfService(callRegister, url.Values{"key": {templateKey.Reveal()}, "name": {name}})
	k.body, k.limit, k.once = body, registerLimit, true
	answer, err := c.do(ctx, k)
	if err != nil {
		return secret.Text{}, err
	}
	key, err := decodeHostKey(answer)
	if err != nil {
		return secret.Text{}, c.unreadable(k, http.StatusOK, err)
	}
	return key, nil
}

// Parameters asks with a template's key how hosts are named, or with a host's
// key also for what its agent needs.
func (c *Client) Parameters(ctx context.Context, key secret.Text) (Parameters, error) {
	k := selfService(callParameters, url.Values{"key": {key.Reveal()}})
	answer, err := c.do(ctx, k)
	if err != nil {
		return Parameters{}, err
	}
	p, err := decodeParameters(answer)
	if err != nil {
		return Parameters{}, c.unreadable(k, http.StatusOK, err)
	}
	return p, nil
}

// Ticket returns the ticket with which a certificate is signed for the host
// that hostKey belongs to: for the name that the host has in the Director now,
// which is another one after a rename there.
func (c *Client) Ticket(ctx context.Context, hostKey secret.Text) (secret.Text, error) {
	k := selfService(callTicket, url.Values{"key": {hostKey.Reveal()}})
	answer, err := c.do(ctx, k)
	if err != nil {
		return secret.Text{}, err
	}
	ticket, err := decodeTicket(answer)
	if err != nil {
		return secret.Text{}, c.unreadable(k, http.StatusOK, err)
	}
	return ticket, nil
}
