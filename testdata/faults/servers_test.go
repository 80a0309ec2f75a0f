package faults

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"icinga-enroll/testdata/campaign"
)

// servers are the lab's, and what it takes to stand before them.
type servers struct {
	campaign.Lab
	web      authority // that the nodes trust for the Director
	icinga   authority // the lab's
	upstream *http.Transport
	asMaster tls.Certificate // one of the master's name, by the lab's CA
}

const directorName = "director.example.com"

// A peer is who a node expects to answer.
type peer struct {
	authority
	name string
	ip   net.IP
}

// A director is a gate before the lab's Director. It ends TLS with a certificate
// of a CA that the node trusts, and takes one request a connection: so the n-th
// connection is the n-th call.
type director struct {
	*gate
	*servers
	own peer
	tls *tls.Config

	mu      sync.Mutex
	calls   []string // that the real one has answered
	secrets []string // that it gave out
}

func openDirector(t *testing.T, s *servers, ip net.IP) *director {
	d := &director{servers: s, own: peer{s.web, directorName, ip}}
	d.tls = &tls.Config{Certificates: []tls.Certificate{d.own.server(d.own.name, ip, day, day)}}
	d.gate = openGate(t, ip, d.serve)
	return d
}

func (d *director) serve(c *net.TCPConn, f *fault) {
	f.meet(c, d.own, func(w *wire) {
		conn := tls.Server(w, d.tls)
		request, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		x := &exchange{talk: talk{conn, w.tcp}, request: request, forward: func() []byte { return d.forward(request, body) }}
		if f != nil && f.http != nil {
			f.http(x)
			return
		}
		x.say(x.forward())
	})
}

// forward asks the real Director, and returns its answer as it goes over the wire.
func (d *director) forward(r *http.Request, body []byte) []byte {
	out, err := http.NewRequest(r.Method, "https://127.0.0.1:"+d.Values["LAB_DIRECTOR_PORT"]+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		d.t.Error(err)
		return nil
	}
	out.Header = r.Header
	answer, err := d.upstream.RoundTrip(out)
	if err != nil {
		d.t.Errorf("the real Director: %v", err)
		return nil
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		d.t.Errorf("the real Director: %v", err)
	}
	d.note(d.call(r), text)
	return httpAnswer(answer.StatusCode, string(text), "Content-Type: "+answer.Header.Get("Content-Type"))
}

// call is what r asks for.
func (d *director) call(r *http.Request) string {
	folder, name := path.Split(r.URL.Path)
	if path.Base(folder) != "self-service" {
		return r.Method + " " + name
	}
	return name
}

func (d *director) note(call string, answer []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, call)
	var secret string
	if json.Unmarshal(answer, &secret) == nil && secret != "" {
		d.secrets = append(d.secrets, secret)
	}
}

// answered is how often the real one has answered call.
func (d *director) answered(call string) (times int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.calls {
		if c == call {
			times++
		}
	}
	return times
}

func (d *director) told() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.secrets)
}

// A talk is a connection with a node, and the TCP below it.
type talk struct {
	*tls.Conn
	tcp *net.TCPConn
}

func (t talk) hangUp() {
	_ = t.CloseWrite()
	hangUp(t.tcp)
}

func (t talk) reset() { reset(t.tcp) }

// An exchange is a request to the Director that waits for its answer.
type exchange struct {
	talk
	request *http.Request
	forward func() []byte // has the real Director do it
}

func (x *exchange) say(answer []byte) {
	_, _ = x.Write(answer)
	x.hangUp()
}

// answer is the real Director's. That there is no such host yet is a 404.
func (x *exchange) answer() (status int, body string) {
	head, body, _ := strings.Cut(string(x.forward()), "\r\n\r\n")
	return must(strconv.Atoi(strings.Fields(head)[1])), body
}

// good is the status of a good answer.
func (x *exchange) good() int {
	if x.request.Method == http.MethodPost && strings.HasSuffix(x.request.URL.Path, "/director/host") {
		return http.StatusCreated
	}
	return http.StatusOK
}

// httpAnswer is one after which the connection is closed.
func httpAnswer(status int, body string, headers ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: %d\r\n", status, http.StatusText(status), len(body))
	for _, h := range headers {
		fmt.Fprintf(&b, "%s\r\n", h)
	}
	b.WriteString("\r\n" + body)
	return b.Bytes()
}

// A master is a gate before the lab's Icinga master. What is behind it is the
// real one; only where the fault is in what it says the gate ends TLS, with a
// certificate of the master's name by the lab's CA.
type master struct {
	*gate
	*servers
}

func openMaster(t *testing.T, s *servers, ip net.IP) *master {
	m := &master{servers: s}
	m.gate = openGate(t, ip, m.serve)
	return m
}

func (m *master) serve(c *net.TCPConn, f *fault) {
	f.meet(c, peer{m.icinga, m.Values["LAB_MASTER_NAME"], nil}, func(w *wire) {
		up, err := net.DialTimeout("tcp", m.Values["LAB_MASTER_ADDRESS"], 10*time.Second)
		if err != nil {
			m.t.Errorf("the real master: %v", err)
			return
		}
		defer func() { _ = up.Close() }()
		if f == nil || f.rpc == nil {
			splice(w, up)
			return
		}
		m.between(w, up, f)
	})
}

// between speaks TLS with both ends.
func (m *master) between(w *wire, up net.Conn, f *fault) {
	conn := tls.Server(w, &tls.Config{Certificates: []tls.Certificate{m.asMaster}})
	request, err := readNetstring(bufio.NewReader(conn))
	if err != nil {
		return // no request, or none that the program would send
	}
	f.rpc(&dialogue{talk: talk{conn, w.tcp}, servers: m.servers, request: request, forward: func() string {
		upper := tls.Client(up, &tls.Config{InsecureSkipVerify: true}) // it is the lab's own
		_, err := io.WriteString(upper, netstring(request))
		answer, rerr := readAnswer(bufio.NewReader(upper))
		if err != nil || rerr != nil {
			m.t.Errorf("the real master: %v, %v", err, rerr)
		}
		return answer
	}})
}

// A dialogue is a certificate request that waits for its answer.
type dialogue struct {
	talk
	*servers
	request string
	forward func() string // has the real master do it
}

const greeting = `{"jsonrpc":"2.0","method":"icinga::Hello","params":{"capabilities":1,"version":21306}}`

// say sends the greeting and messages, and ends the connection.
func (d *dialogue) say(messages ...string) {
	for _, m := range append([]string{greeting}, messages...) {
		_, _ = io.WriteString(d, netstring(m))
	}
	d.hangUp()
}

func netstring(payload string) string { return strconv.Itoa(len(payload)) + ":" + payload + "," }

func readNetstring(r *bufio.Reader) (string, error) {
	length, err := r.ReadString(':')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(length[:len(length)-1])
	if err != nil {
		return "", err
	}
	payload := make([]byte, n+1)
	_, err = io.ReadFull(r, payload)
	return string(payload[:n]), err
}

// readAnswer skips what isn't the answer to the request.
func readAnswer(r *bufio.Reader) (string, error) {
	for {
		message, err := readNetstring(r)
		var m struct{ ID string }
		if err != nil || json.Unmarshal([]byte(message), &m) == nil && m.ID == "1" {
			return message, err
		}
	}
}
