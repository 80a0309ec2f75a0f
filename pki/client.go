package pki

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultPort is where Icinga 2 listens.
const DefaultPort = "5665"

const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	requestTimeout   = 30 * time.Second // all of one call
)

// Endpoint is an Icinga 2 instance that may answer.
type Endpoint struct {
	// Address is host:port; Icinga's port is 5665.
	Address string
	// Names are the common names of which the peer must have one, compared
	// exactly. Empty: any, and then no ticket is sent.
	Names []string
}

// Peer is who answered, verified.
type Peer struct {
	// Name is the common name of Chain[0].
	Name string
	// Chain is what it presented, its own certificate first.
	Chain []*x509.Certificate
	// CA is the trusted certificate that its chain ends in.
	CA *x509.Certificate
}

// Client talks to Icinga 2. It connects without a certificate of its own and
// knows no proxies. It can be used by several goroutines at once.
type Client struct {
	// Trust is what a peer must be signed by.
	Trust Trust
	// Dial opens connections; nil means a [net.Dialer].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the clock certificates are checked by; nil means [time.Now].
	Now func() time.Time

	certificate *tls.Certificate // shown to whoever asks, by [API] only; nil: none
}

// Probe connects, verifies the peer's chain and name, and sends nothing. An
// error is [ErrUntrusted], [ErrWrongPeer], or about the connection.
func (c *Client) Probe(ctx context.Context, ep Endpoint) (Peer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	conn, peer, err := c.open(ctx, ep)
	if err != nil {
		return Peer{}, err
	}
	_ = conn.Close() // nothing was written that could get lost
	return peer, nil
}

// Chain returns the certificates that are presented at address, verified by
// nobody: for a person to compare.
func (c *Client) Chain(ctx context.Context, address string) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	anybody := func([]*x509.Certificate) error { return nil }
	conn, err := c.connect(ctx, address, anybody)
	if err != nil {
		return nil, err
	}
	_ = conn.Close() // nothing was written that could get lost
	return conn.ConnectionState().PeerCertificates, nil
}

// open returns a connection to a peer that is trusted and one of ep.Names.
func (c *Client) open(ctx context.Context, ep Endpoint) (*tls.Conn, Peer, error) {
	var peer Peer
	conn, err := c.connect(ctx, ep.Address, func(chain []*x509.Certificate) (err error) {
		peer, err = c.identify(chain, ep.Names)
		return err
	})
	if err != nil {
		return nil, Peer{}, err
	}
	return conn, peer, nil
}

func (c *Client) identify(chain []*x509.Certificate, names []string) (Peer, error) {
	ca, err := c.Trust.Verify(chain, c.now())
	if err != nil {
		return Peer{}, err
	}
	name, err := commonName(chain[0])
	if err != nil {
		return Peer{}, &failure{text: "the peer can't be told from others", kind: ErrWrongPeer, cause: err}
	}
	if len(names) > 0 && !slices.Contains(names, name) {
		return Peer{}, wrongPeer(name, names)
	}
	return Peer{Name: name, Chain: chain, CA: ca}, nil
}

func wrongPeer(name string, names []string) error {
	text := fmt.Sprintf("the peer is %q, allowed is %s: nothing was sent, since every node of the fleet has a certificate of this CA; "+
		"correct the address, or name the endpoint as name@host:port", name, quoted(names))
	return &failure{text: text, kind: ErrWrongPeer}
}

func quoted(names []string) string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = strconv.Quote(name)
	}
	return strings.Join(list, " or ")
}

func (c *Client) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// connect returns a connection whose handshake is complete, and in it check was
// content with the chain.
func (c *Client) connect(ctx context.Context, address string, check func([]*x509.Certificate) error) (*tls.Conn, error) {
	raw, err := c.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn := tls.Client(raw, c.tlsConfig(check))
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, handshakeError(address, err)
	}
	return conn, nil
}

// tlsConfig replaces the check of host names, which Icinga's certificates don't
// carry, by ours. It has no session cache: no handshake goes without the check.
func (c *Client) tlsConfig(check func([]*x509.Certificate) error) *tls.Config {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection verifies chain and name
		VerifyConnection: func(state tls.ConnectionState) error {
			return check(state.PeerCertificates)
		},
	}
	if c.certificate != nil {
		// Not Certificates: of those Go shows none that the CA named by the server has
		// not signed, and then nobody would say which certificate was refused.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.certificate, nil }
	}
	return config
}

func (c *Client) dial(ctx context.Context, address string) (net.Conn, error) {
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{FallbackDelay: 250 * time.Millisecond}).DialContext // IPv4 if IPv6 is slow (RFC 8305)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := dial(ctx, "tcp", address)
	var malformed *net.AddrError
	switch {
	case errors.As(err, &malformed):
		return nil, permanentCause(err, "%q is no address: write host:port, [host]:port for IPv6", address)
	case err != nil:
		return nil, temporaryCause(err, "%s can't be reached: look at the address, the firewall, and whether Icinga runs there", address)
	}
	return conn, nil
}

// handshakeError keeps the errors of this package as they are, and tells those
// of the network, which pass, from those of TLS, which don't.
func handshakeError(address string, err error) error {
	var own *failure
	var alert *net.OpError
	var noTLS tls.RecordHeaderError
	switch {
	case errors.As(err, &own):
		return fmt.Errorf("%s: %w", address, err)
	case errors.As(err, &noTLS):
		return permanentCause(err, "%s does not speak TLS: Icinga's port is 5665", address)
	case errors.As(err, &alert) && alert.Op == "remote error":
		return permanentCause(err, "%s refused the TLS connection: its log says why (TLS 1.2 or 1.3 is spoken here)", address)
	case errors.Is(err, context.DeadlineExceeded):
		return temporaryCause(err, "%s took the connection and then said nothing: the server hangs, is very busy, or isn't Icinga's", address)
	case isNetwork(err):
		return temporaryCause(err, "%s broke off the TLS handshake: the server is busy, restarting, or behind a firewall", address)
	}
	return permanentCause(err, "the TLS handshake with %s failed (a name that is not plain ASCII makes a certificate that can't be read)", address)
}

func isNetwork(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, context.Canceled) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe)
}
