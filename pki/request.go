package pki

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki/internal/netstring"
)

// Request asks for a signed certificate.
type Request struct {
	// Certificate is presented as "cert_request": one of [RequestCertificate],
	// or a signed one in its last 30 days, which is renewed without a ticket.
	Certificate *x509.Certificate
	// Ticket has the CA sign at once. Zero: none, and a new certificate waits
	// for approval.
	Ticket secret.Text
	// CA is the CA's certificate as the asker has it, nil for none: a CA that
	// has renewed its own certificate sends the new one to who shows the old.
	CA *x509.Certificate
}

// Issued is the CA's answer. Nothing in it but Peer has been verified: see
// [Trust.VerifyIssued].
type Issued struct {
	Certificate *x509.Certificate
	// CA is the CA's certificate, or its bundle, as it is now.
	CA []*x509.Certificate
	// Peer is who answered.
	Peer Peer
}

// requestID is the same for every request, since a connection carries only one.
var requestID = json.RawMessage(`"1"`)

// Request sends req to ep, once, and returns what the CA issued. A ticket to an
// endpoint without names is refused before anything is dialled. The call ends
// after 30 seconds, or with ctx.
//
// Errors: [PendingError], [RefusedError] (also [ErrNotDue]), [ErrUntrusted],
// [ErrWrongPeer], [ErrNoAnswer], or about the connection or a malformed answer.
// A satellite's first answer is always [PendingError], even with a ticket.
func (c *Client) Request(ctx context.Context, ep Endpoint, req Request) (Issued, error) {
	if !req.Ticket.IsZero() && len(ep.Names) == 0 {
		return Issued{}, permanent("no ticket is sent to %s without knowing its name, since every node of the fleet has a certificate of the same CA: name the endpoint as name@host:port", ep.Address)
	}
	message, err := encodeRequest(req)
	if err != nil {
		return Issued{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	conn, peer, err := c.open(ctx, ep)
	if err != nil {
		return Issued{}, err
	}
	defer func() { _ = conn.Close() }() // the answer has been read, or there is none
	answer, err := exchange(ctx, conn, message)
	if err != nil {
		return Issued{}, exchangeError(ctx, ep.Address, err)
	}
	issued, err := decodeAnswer(answer, req)
	if err != nil {
		return Issued{}, fmt.Errorf("%s: %w", ep.Address, err)
	}
	issued.Peer = peer
	return issued, nil
}

func encodeRequest(req Request) ([]byte, error) {
	if req.Certificate == nil {
		return nil, permanent("a request needs a certificate")
	}
	params := map[string]string{"cert_request": string(EncodeCertificates(req.Certificate))}
	if !req.Ticket.IsZero() {
		params["ticket"] = req.Ticket.Reveal()
	}
	if req.CA != nil {
		params["requestor_ca"] = string(EncodeCertificates(req.CA))
	}
	encoded, err := json.Marshal(params)
	if err != nil {
		return nil, permanentCause(err, "the request can't be written as JSON")
	}
	message := netstring.Message{Version: "2.0", ID: requestID, Method: "pki::RequestCertificate", Params: encoded}
	payload, err := json.Marshal(message)
	if err != nil {
		return nil, permanentCause(err, "the request can't be written as JSON")
	}
	return netstring.Encode(payload), nil
}

// exchange writes message and returns the answer to it. Whatever comes before
// it, such as "icinga::Hello", is skipped.
func exchange(ctx context.Context, conn *tls.Conn, message []byte) (netstring.Message, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.NetConn().Close() })
	defer stop()
	if _, err := conn.Write(message); err != nil {
		return netstring.Message{}, err
	}
	r := bufio.NewReader(conn)
	for {
		payload, err := netstring.Read(r)
		if err != nil {
			return netstring.Message{}, err
		}
		var answer netstring.Message
		if err := json.Unmarshal(payload, &answer); err != nil {
			return netstring.Message{}, fmt.Errorf("%w: %w", errNoJSON, err)
		}
		if bytes.Equal(answer.ID, requestID) {
			return answer, nil
		}
	}
}

var errNoJSON = errors.New("no JSON-RPC message")

func exchangeError(ctx context.Context, address string, err error) error {
	switch {
	case errors.Is(err, netstring.ErrMalformed) || errors.Is(err, errNoJSON):
		return permanentCause(err, "%s does not answer as Icinga does: is it Icinga's port (5665)?", address)
	case ctx.Err() != nil:
		return noAnswerInTime(ctx, address)
	}
	text := fmt.Sprintf("%s closed the connection without an answer. Known causes: an agent of this name is connected at this moment, "+
		"the server's limit of anonymous clients is reached, or the server took more than 10 seconds; its log says more, try again", address)
	return &failure{text: text, kind: ErrNoAnswer, cause: err, temporary: true}
}

func noAnswerInTime(ctx context.Context, address string) error {
	return temporaryCause(ctx.Err(), "%s gave no answer in time: the server is busy, or this was interrupted; try again", address)
}

// Status codes of Icinga's answer.
const (
	statusIssued  = 0
	statusRefused = 1
	statusPending = 2
)

type result struct {
	Status *float64 `json:"status_code"`
	Error  string   `json:"error"`
	Cert   string   `json:"cert"`
	CA     string   `json:"ca"`
}

func decodeAnswer(answer netstring.Message, req Request) (Issued, error) {
	if len(answer.Error) > 0 {
		return Issued{}, permanent("the request broke something in the server, whose log says more: %s", exception(answer.Error, req.Ticket))
	}
	var r result
	if err := json.Unmarshal(answer.Result, &r); err != nil || r.Status == nil {
		return Issued{}, permanent("the server's answer has no result: it may not know this request (Icinga before 2.8)")
	}
	switch *r.Status {
	case statusIssued:
		return r.issued()
	case statusRefused:
		return Issued{}, &RefusedError{Message: clean(r.Error, req.Ticket)}
	case statusPending:
		return Issued{}, r.pending(req)
	}
	return Issued{}, permanent("the server's answer has the unknown status %v: %s (Icinga's log on the master says more)", *r.Status, clean(r.Error, req.Ticket))
}

// exception returns the first line of a handler's exception, which Icinga sends
// as a string with a stack trace.
func exception(raw json.RawMessage, ticket secret.Text) string {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		text = string(raw)
	}
	line, _, _ := strings.Cut(text, "\n")
	return clean(line, ticket)
}

func (r result) issued() (Issued, error) {
	certificates, err := ParseCertificates([]byte(r.Cert))
	if err != nil {
		return Issued{}, permanentCause(err, "the CA signed, but not in a form that can be used; look at its log")
	}
	ca, err := ParseCertificates([]byte(r.CA))
	if err != nil {
		return Issued{}, permanentCause(err, "the CA signed, but its own certificate is not in a form that can be used; look at its log")
	}
	return Issued{Certificate: certificates[0], CA: ca}, nil
}

func (r result) pending(req Request) error {
	pending := &PendingError{Fingerprint: Fingerprint(req.Certificate)}
	if r.CA == "" {
		return pending
	}
	ca, err := ParseCertificates([]byte(r.CA))
	if err != nil {
		return permanentCause(err, "the request is pending, but the server's CA certificate can't be read")
	}
	pending.CA = ca
	return pending
}
