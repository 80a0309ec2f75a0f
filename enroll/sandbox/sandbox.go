// Package sandbox is a Director and an Icinga master on loopback, wired as real
// ones are: tickets that the one hands out are taken by the other. The demo and
// the tests enrol against it.
package sandbox

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"icinga-enroll/pki"
	"icinga-enroll/pki/pkitest"
	"icinga-enroll/selfservice/selfservicetest"
)

// MasterName is the CN of the sandbox's master and of its CA server.
const MasterName = "master1.sandbox"

// Sandbox is a running Director with a running master.
type Sandbox struct {
	Director    *selfservicetest.Director
	CA          *pkitest.CA
	Master      *pkitest.Server
	TemplateKey string
}

// Start starts both. The functions given may change the Director and the CA
// before that; those for the master are handed on to it.
func Start(configure func(*Sandbox), master ...func(*pkitest.Server)) (*Sandbox, error) {
	ca, err := pkitest.NewCA()
	if err != nil {
		return nil, err
	}
	s := &Sandbox{Director: selfservicetest.New(), CA: ca, TemplateKey: newKey()}
	s.Director.Ticket = func(name string) (string, error) { return ca.Ticket(name), nil }
	s.Director.Settings.CAServer = MasterName
	if configure != nil {
		configure(s)
	}
	if s.Master, err = pkitest.NewServer(ca, MasterName, master...); err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(s.Master.Addr())
	s.Director.SetTemplate(selfservicetest.Template{
		Name: "Linux agent", Key: s.TemplateKey,
		Zone: "master", Parents: []selfservicetest.Parent{{Name: MasterName, Host: host, Port: port}},
		AcceptConfig: true,
	})
	s.Director.Start()
	return s, nil
}

// Close stops both.
func (s *Sandbox) Close() {
	s.Director.Close()
	s.Master.Close()
}

// WriteConfig writes config.yml into dir, with the files that it names, for a
// node of that name, and returns its path.
func (s *Sandbox) WriteConfig(dir, name string) (string, error) {
	directorCA := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Director.Certificate().Raw})
	config := fmt.Sprintf(`director:
  url: %s
  template_key_file: %s
  ca_file: %s
host:
  name: %s
ca:
  fingerprint: %q
paths:
  state: %s
  certs: %s
`, s.Director.URL(), filepath.Join(dir, "template-key"), filepath.Join(dir, "director-ca.pem"),
		name, pki.PublicKeyPin(s.CA.Certificate()), filepath.Join(dir, "state"), filepath.Join(dir, "certs"))
	for file, data := range map[string][]byte{
		"template-key":    []byte(s.TemplateKey + "\n"),
		"director-ca.pem": directorCA,
		"config.yml":      []byte(config),
	} {
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "config.yml"), nil
}

func newKey() string {
	key := make([]byte, 20)
	_, _ = rand.Read(key) // never fails
	return hex.EncodeToString(key)
}
