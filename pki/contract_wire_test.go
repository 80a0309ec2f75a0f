package pki_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"icinga-enroll/pki"
	"icinga-enroll/pki/internal/netstring"
)

type wireRow struct {
	name string
	send string
	want []string
}

// wire is what Icinga sends for bytes that no right client writes. A row
// without "EOF" at its end does not say what comes after.
var wire = []wireRow{
	{"hello comes first", frame("1", "pki::RequestCertificate", "{}"), []string{"hello", `status 1 to "1": No certificate or CSR received.`}},
	{"the id comes back as it was", frame("7", "pki::RequestCertificate", "{}"), []string{"hello", "status 1 to 7: No certificate or CSR received."}},
	{"unknown method", frame("9", "no::Such", "{}"), []string{"hello", "empty answer to 9"}},
	{"no method", netstringOf(`{"jsonrpc":"2.0","id":"1"}`) + frame("9", "no::Such", "{}"), []string{"hello", "empty answer to 9"}},
	{"no id", netstringOf(`{"jsonrpc":"2.0","method":"no::Such","params":{}}`) + frame("9", "no::Such", "{}"), []string{"hello", "empty answer to 9"}},
	{"no certificate in cert_request", frame("1", "pki::RequestCertificate", `{"cert_request":"x"}`),
		[]string{"hello", `exception to "1": Error: The specified X509 certificate is invalid.`}},
	{"params that are no object", frame("1", "pki::RequestCertificate", "[]"), []string{"hello", `exception to "1": Error: std::bad_cast`}},
	{"JSON that is no object", netstringOf("[]"), []string{"hello", "EOF"}},
	{"null", netstringOf("null"), []string{"hello", "EOF"}},
	{"half a JSON", netstringOf("{"), []string{"hello", "EOF"}},
	{"nothing", "0:,", []string{"hello", "EOF"}},
	{"leading zero", "02:{},", []string{"hello", "EOF"}},
	{"no comma", "2:{};", []string{"hello", "EOF"}},
	{"letter in the length", "2a:{},", []string{"hello", "EOF"}},
	{"ten digits", "1000000000:", []string{"hello", "EOF"}},
	{"nine digits", "999999999:", []string{"hello", "EOF"}},
	{"one byte more than the limit", "1048577:", []string{"hello", "EOF"}},
	{"the limit", netstringOf("{}"+strings.Repeat(" ", netstring.MaxLength-2)) + frame("9", "no::Such", "{}"), []string{"hello", "empty answer to 9"}},
	{"negative length", "-1:,", []string{"HTTP"}},
}

func netstringOf(payload string) string { return string(netstring.Encode([]byte(payload))) }

func frame(id, method, params string) string {
	if id == "1" {
		id = `"1"`
	}
	return netstringOf(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":%s}`, id, method, params))
}

// pendingTwice asks for approval twice on one connection.
// either stands between what different versions answer.
const either = " | "

func pendingTwice(t *testing.T, a authority) (send string, want []string) {
	s := newScene(t, a)
	request := frame("1", "pki::RequestCertificate", fmt.Sprintf(`{"cert_request":%q}`, pki.EncodeCertificates(s.request)))
	answer := fmt.Sprintf("Certificate request for CN '%s' is pending. Waiting for approval from the parent Icinga instance.", s.cn)
	pending := `status 2 to "1": ` + answer
	return request + request, []string{"hello", pending, "EOF" + either + pending}
}

func runWire(t *testing.T, a authority) {
	send, want := pendingTwice(t, a)
	rows := append(wire[:len(wire):len(wire)], wireRow{"a pending answer is the last (2.13), or not (2.14)", send, want})
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			conn, err := tls.Dial("tcp", a.master().Address, &tls.Config{InsecureSkipVerify: true})
			noError(t, err)
			defer conn.Close()
			noError(t, conn.SetDeadline(time.Now().Add(8*time.Second)))
			_, err = io.WriteString(conn, row.send)
			noError(t, err)
			r := bufio.NewReader(conn)
			for i, want := range row.want {
				if got := describe(t, r); !slices.Contains(strings.Split(want, either), got) {
					t.Fatalf("message %d is %s, want %s", i, got, want)
				}
			}
		})
	}
}

func describe(t *testing.T, r *bufio.Reader) string {
	if start, err := r.Peek(4); err == nil && bytes.Equal(start, []byte("HTTP")) {
		return "HTTP"
	}
	payload, err := netstring.Read(r)
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return "silence"
	}
	if err != nil {
		return "EOF" // or a reset, where the server had not read everything
	}
	var m netstring.Message
	noError(t, json.Unmarshal(payload, &m))
	var result struct {
		Status int `json:"status_code"`
		Error  string
	}
	var exception string
	switch {
	case m.Method == "icinga::Hello":
		return "hello"
	case m.Error != nil:
		noError(t, json.Unmarshal(m.Error, &exception))
		line, _, _ := strings.Cut(exception, "\n")
		return fmt.Sprintf("exception to %s: %s", m.ID, line)
	case m.Result == nil:
		return fmt.Sprintf("empty answer to %s", m.ID)
	}
	noError(t, json.Unmarshal(m.Result, &result))
	return fmt.Sprintf("status %d to %s: %s", result.Status, m.ID, result.Error)
}

// certificateIn returns the DER of the certificate in the first answer.
func certificateIn(t *testing.T, r *bufio.Reader) []byte {
	for {
		payload, err := netstring.Read(r)
		noError(t, err)
		var m struct{ Result struct{ Cert string } }
		noError(t, json.Unmarshal(payload, &m))
		if block, _ := pem.Decode([]byte(m.Result.Cert)); block != nil {
			return block.Bytes
		}
	}
}
