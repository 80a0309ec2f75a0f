//go:build linux

package attacks

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

// rogue is a master that was taken over: it has its name's certificate of the
// pinned CA, and answers a request for a certificate as answer does.
func rogue(t testing.TB, identity tls.Certificate, answer func(conn net.Conn, asked *x509.Certificate)) (address string) {
	t.Helper()
	config := &tls.Config{Certificates: []tls.Certificate{identity}, MinVersion: tls.VersionTLS12}
	return listen(t, func(raw net.Conn) {
		conn := tls.Server(raw, config)
		if asked := readRequest(bufio.NewReader(conn)); asked != nil {
			answer(conn, asked)
		}
		_ = conn.Close()
	})
}

// readRequest returns nil for what is no request for a certificate.
func readRequest(r *bufio.Reader) *x509.Certificate {
	length, err := r.ReadString(':')
	n, errLength := strconv.Atoi(strings.TrimSuffix(length, ":"))
	if err != nil || errLength != nil {
		return nil
	}
	text := make([]byte, n)
	var request struct {
		Params struct {
			CertRequest string `json:"cert_request"`
		}
	}
	if _, err := io.ReadFull(r, text); err != nil || json.Unmarshal(text, &request) != nil {
		return nil
	}
	block, _ := pem.Decode([]byte(request.Params.CertRequest))
	if block == nil {
		return nil
	}
	asked, _ := x509.ParseCertificate(block.Bytes)
	return asked
}

// netstring frames a message.
func netstring(text string) string { return fmt.Sprintf("%d:%s,", len(text), text) }

// issued is the answer that has a certificate in it.
func issued(cert, ca []byte) string {
	result, _ := json.Marshal(map[string]any{"status_code": 0, "cert": string(cert), "ca": string(ca)})
	return netstring(`{"jsonrpc":"2.0","id":"1","result":` + string(result) + `}`)
}

// said is the answer of a CA that refuses.
func said(text string) string {
	quoted, _ := json.Marshal(text)
	return netstring(`{"jsonrpc":"2.0","id":"1","result":{"status_code":1,"error":` + string(quoted) + `}}`)
}
