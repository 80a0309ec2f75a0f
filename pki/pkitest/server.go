package pkitest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"icinga-enroll/pki/internal/netstring"
)

// connectionLimit is how long Icinga keeps a connection without a certificate.
const connectionLimit = 10 * time.Second

// Server is an Icinga 2 instance on loopback. Its fields are set by the
// functions given to [NewServer] and not changed afterwards.
type Server struct {
	// Certificate is what the server presents: its own name's, of its CA.
	Certificate tls.Certificate
	// MaxVersion limits TLS; 0 means no limit.
	MaxVersion uint16
	// Satellite makes it one below the CA's master: the first answer to a
	// request is "pending", whatever the master says, a refusal stays so.
	Satellite bool

	ca       *CA
	listener net.Listener
	serving  sync.WaitGroup

	mu        sync.Mutex
	received  bytes.Buffer
	forwarded map[string]result // by fingerprint: what the master has signed
	users     map[string]APIUser
	endpoints map[string]Endpoint
}

// NewServer listens on a free port of 127.0.0.1 with a certificate of ca for
// name. The configure functions change its fields before that.
func NewServer(ca *CA, name string, configure ...func(*Server)) (*Server, error) {
	now := ca.now()
	certificate, err := ca.Identity(name, now.Add(-day), now.Add(leafLifetime-day))
	if err != nil {
		return nil, err
	}
	s := &Server{ca: ca, Certificate: certificate, forwarded: map[string]result{},
		users: map[string]APIUser{}, endpoints: map[string]Endpoint{name: {Name: name}}}
	for _, c := range configure {
		c(s)
	}
	s.listener, err = net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.serving.Go(s.accept)
	return s, nil
}

// Addr is the server's host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close stops listening and waits until every connection has ended: when its
// client ends it, at most 10 seconds.
func (s *Server) Close() {
	_ = s.listener.Close()
	s.serving.Wait()
}

// Received is all that clients have written inside TLS; it is complete after
// [Server.Close].
func (s *Server) Received() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.received.Bytes())
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.serving.Go(func() { s.serve(conn) })
	}
}

// closeLimit is how long the rest of a client's messages is waited for.
const closeLimit = 100 * time.Millisecond

// serve answers on one connection until it ends.
func (s *Server) serve(raw net.Conn) {
	conn := tls.Server(raw, s.tlsConfig())
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(connectionLimit))
	r := bufio.NewReader(io.TeeReader(conn, recorder{s}))
	first, err := r.Peek(1)
	if err != nil {
		return
	}
	if first[0] < '0' || first[0] > '9' { // the same port serves the REST API
		s.serveAPI(conn, r)
		return
	}
	hello := netstring.Message{Version: "2.0", Method: "icinga::Hello", Params: json.RawMessage(`{"capabilities":1,"version":21306}`)}
	if send(conn, hello) != nil {
		return
	}
	for s.serveMessage(conn, r) {
	}
	// What the client has sent since is read: closing a socket with unread data
	// resets it, and Windows then forgets what it has received, too.
	_ = conn.CloseWrite()
	_ = conn.SetReadDeadline(time.Now().Add(closeLimit))
	_, _ = io.Copy(io.Discard, r)
}

func (s *Server) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		MaxVersion:             s.MaxVersion,
		Certificates:           []tls.Certificate{s.Certificate},
		ClientAuth:             tls.RequestClientCert,
		SessionTicketsDisabled: true,
	}
}

// recorder keeps what a server reads.
type recorder struct{ s *Server }

func (r recorder) Write(p []byte) (int, error) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.received.Write(p)
}

// serveMessage reports whether the connection goes on.
func (s *Server) serveMessage(conn io.Writer, r *bufio.Reader) bool {
	payload, err := netstring.Read(r)
	if err != nil || !bytes.HasPrefix(payload, []byte("{")) {
		return false
	}
	var request netstring.Message
	if json.Unmarshal(payload, &request) != nil {
		return false
	}
	if request.Method == "" {
		return true
	}
	answer := netstring.Message{Version: "2.0", ID: request.ID}
	var given *result
	if request.Method == "pki::RequestCertificate" {
		given, answer.Error = s.requestCertificate(request.Params)
		answer.Result = marshal(given)
	}
	return s.reply(conn, answer, given)
}

// reply sends the answer to a request that had an id, and whatever it had, the
// new certificate as a message of its own. The connection ends after "pending".
func (s *Server) reply(conn io.Writer, answer netstring.Message, given *result) bool {
	if answer.ID != nil && send(conn, answer) != nil {
		return false
	}
	if given == nil {
		return true
	}
	if given.Status == issued {
		update := netstring.Message{Version: "2.0", Method: "pki::UpdateCertificate", Params: marshal(given)}
		return send(conn, update) == nil
	}
	return given.Status != pending
}

func marshal(r *result) json.RawMessage {
	if r == nil {
		return nil
	}
	text, err := json.Marshal(r)
	if err != nil {
		panic("pkitest: " + err.Error()) // a struct of strings
	}
	return text
}

// requestCertificate returns a result, or an exception as Icinga sends one.
func (s *Server) requestCertificate(raw json.RawMessage) (*result, json.RawMessage) {
	var params struct {
		Request string `json:"cert_request"`
		Ticket  string `json:"ticket"`
	}
	if json.Unmarshal(raw, &params) != nil {
		return nil, exception("std::bad_cast")
	}
	if params.Request == "" {
		return &result{Status: refused, Error: "No certificate or CSR received."}, nil
	}
	c, err := parseRequest(params.Request)
	if err != nil {
		return nil, exception("The specified X509 certificate is invalid.")
	}
	r, err := s.decide(c, params.Ticket)
	if err != nil {
		return nil, exception(err.Error())
	}
	return &r, nil
}

func parseRequest(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, fmt.Errorf("no PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

func exception(text string) json.RawMessage {
	encoded, err := json.Marshal("Error: " + text + "\n\nStacktrace:\n 0# __cxa_throw\n")
	if err != nil {
		panic("pkitest: " + err.Error()) // a string
	}
	return encoded
}

// decide asks the CA. A satellite passes on later what it was told before.
func (s *Server) decide(c *x509.Certificate, ticket string) (result, error) {
	if !s.Satellite {
		return s.ca.answer(c, ticket)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.forwarded[fingerprint(c)]; ok {
		return r, nil
	}
	r, err := s.ca.answer(c, ticket)
	if err == nil && r.Status == issued {
		s.forwarded[fingerprint(c)] = r
	}
	return s.ca.pending(c, firstCommonName(c)), nil
}

func send(w io.Writer, m netstring.Message) error {
	payload, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = w.Write(netstring.Encode(payload))
	return err
}
