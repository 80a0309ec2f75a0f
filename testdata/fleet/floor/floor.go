// Package floor sends what an enrolment sends, byte for byte as far as a server
// sees it, and nothing else: no file, no lock, no pin, no check of what comes
// back. What it takes is what the servers alone need.
package floor

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"icinga-enroll/pki"
)

// Client is a bare client of one Director and one master.
type Client struct {
	Director    string         // URL
	Roots       *x509.CertPool // of the Director
	TemplateKey string
	Master      string // host:port

	key *ecdsa.PrivateKey // one for all requests: to make keys is no server's business
}

// New returns a Client.
func New(director string, roots *x509.CertPool, templateKey, master string) (*Client, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return &Client{Director: director, Roots: roots, TemplateKey: templateKey, Master: master, key: key}, err
}

// Enrol registers a host and has the CA sign a certificate for it: four calls on
// one connection to the Director, one on another to the master.
func (c *Client) Enrol(name string) error {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: c.Roots}}
	defer transport.CloseIdleConnections()
	director := &http.Client{Transport: transport}
	if _, err := c.call(director, "powershell-parameters", url.Values{"key": {c.TemplateKey}}, ""); err != nil {
		return err
	}
	hostKey, err := c.call(director, "register-host", url.Values{"key": {c.TemplateKey}, "name": {name}}, "{}")
	if err != nil {
		return err
	}
	if _, err := c.call(director, "powershell-parameters", url.Values{"key": {hostKey}}, ""); err != nil {
		return err
	}
	ticket, err := c.call(director, "ticket", url.Values{"key": {hostKey}}, "")
	if err != nil {
		return err
	}
	return c.sign(name, ticket)
}

// call returns the answer without the quotes of a JSON string.
func (c *Client) call(director *http.Client, name string, query url.Values, body string) (string, error) {
	req, err := http.NewRequest(http.MethodPost, c.Director+"/self-service/"+name+"?"+query.Encode(), strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", "application/json")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := director.Do(req)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s %.200s", name, res.Status, answer)
	}
	return strings.Trim(string(answer), "\"\n"), nil
}

// sign shows the ticket to the master and reads until the answer.
func (c *Client) sign(name, ticket string) error {
	request, err := pki.RequestCertificate(c.key, name, time.Now())
	if err != nil {
		return err
	}
	conn, err := tls.Dial("tcp", c.Master, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // bare: nothing is checked
	if err != nil {
		return err
	}
	defer conn.Close()
	message, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": "1", "method": "pki::RequestCertificate",
		"params": map[string]string{"cert_request": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: request.Raw})), "ticket": ticket},
	})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "%d:%s,", len(message), message); err != nil {
		return err
	}
	for r := bufio.NewReader(conn); ; {
		payload, err := netstring(r)
		if err != nil {
			return err
		}
		if bytes.Contains(payload, []byte(`"id":"1"`)) {
			return isSigned(payload)
		}
	}
}

func netstring(r *bufio.Reader) ([]byte, error) {
	digits, err := r.ReadString(':')
	if err != nil {
		return nil, err
	}
	length, err := strconv.Atoi(strings.TrimSuffix(digits, ":"))
	if err != nil {
		return nil, err
	}
	payload := make([]byte, length+1)
	_, err = io.ReadFull(r, payload)
	return payload[:length], err
}

func isSigned(payload []byte) error {
	var answer struct{ Result struct{ Cert string } }
	if err := json.Unmarshal(payload, &answer); err != nil {
		return err
	}
	if answer.Result.Cert == "" {
		return fmt.Errorf("not signed: %.300s", payload)
	}
	return nil
}
