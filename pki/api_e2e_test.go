//go:build e2e

package pki_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/pki/pkitest"
)

func TestAPIContractIcinga(t *testing.T) {
	l := newLab(t)
	runAPIContract(t, l)
	runAPIWire(t, l)
}

func (l *lab) addUser(t *testing.T, u pkitest.APIUser) {
	attributes := map[string]any{"password": u.Password, "client_cn": u.ClientCN, "permissions": append([]string{}, u.Permissions...)}
	l.object(t, http.MethodPut, u.Name, map[string]any{"attrs": attributes})
	t.Cleanup(func() { l.object(t, http.MethodDelete, u.Name, nil) })
}

// object makes or deletes an ApiUser of the running master.
func (l *lab) object(t *testing.T, method, name string, content any) {
	t.Helper()
	body, err := json.Marshal(content)
	noError(t, err)
	request, err := http.NewRequest(method, l.values["LAB_API_URL"]+"/objects/apiusers/"+name, bytes.NewReader(body))
	noError(t, err)
	request.Header.Set("Accept", "application/json")
	request.SetBasicAuth(l.values["LAB_API_USER"], l.values["LAB_API_PASSWORD"])
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	noError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	noError(t, err)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s ApiUser %s: %s %s", method, name, response.Status, text)
	}
}

func (l *lab) withoutSalt(t *testing.T) *pki.API {
	i := newInstance(t)
	i.start(t, `object ApiUser "root" { password = "sesame"; permissions = [ "*" ] }`)
	return &pki.API{Address: i.address, Names: []string{"saltless"}, Trust: i.trust(t), User: "root", Password: secret.New("sesame")}
}

// The whole way by files: a CSR with an organization, signed by Icinga's own
// program, read as a bundle; and the ApiUser that the error of a first try
// prints, pasted into the configuration.
func TestAPIClientByFiles(t *testing.T) {
	const cn = `user-"x"\y`
	i := newInstance(t)
	key := newKeyOf(t, pki.RSA3072)
	csr, err := pki.CSRFor(key, pkix.Name{CommonName: cn, Organization: []string{"Example, Inc."}, OrganizationalUnit: []string{"0b9c7e5e"}})
	noError(t, err)
	bundle, err := pki.ParseBundle(key.Public(), secret.Text{}, i.signCSR(t, csr), i.read(t, "data/certs/ca.crt"))
	noError(t, err)
	if s := bundle.Certificate.Subject; s.CommonName != cn || s.Organization[0] != "Example, Inc." || s.OrganizationalUnit[0] != "0b9c7e5e" {
		t.Fatalf("signed was %q", s)
	}

	i.start(t, "")
	api := &pki.API{Address: i.address, Names: []string{"saltless"}, Trust: i.trust(t),
		Certificate: &tls.Certificate{Certificate: [][]byte{bundle.Certificate.Raw}, PrivateKey: key}}
	_, err = api.Endpoints(t.Context())
	var missing *pki.UnauthorizedError
	if !errors.As(err, &missing) {
		t.Fatalf("got %v, want an UnauthorizedError", err)
	}
	i.stop(t)
	i.start(t, missing.Object())
	id, err := api.WhoAmI(t.Context())
	noError(t, err)
	states, err := api.Endpoints(t.Context())
	noError(t, err)
	if id.User != cn || len(states) != 1 || states[0].Name != "saltless" {
		t.Errorf("I am %q and see %v", id.User, states)
	}
}

// instance is an Icinga 2 of a test's own, with a CA and without a ticket_salt.
type instance struct {
	dir, address string
	process      *exec.Cmd
}

func newInstance(t *testing.T) *instance {
	dir, err := os.MkdirTemp("", "icinga-enroll-api-")
	noError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	noError(t, os.Chmod(dir, 0o755)) // Icinga's account has to get through
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	i := &instance{dir: dir, address: listener.Addr().String()}
	noError(t, listener.Close())
	noError(t, os.MkdirAll(i.path("etc/zones.d"), 0o755))
	i.command(t, "install", "-d", "-o", "nagios", "-g", "nagios", i.path("data"), i.path("data/certs"), i.path("log"), i.path("cache"),
		i.path("spool"), i.path("spool/perfdata"), i.path("spool/tmp"), i.path("run"))
	i.icinga(t, "pki", "new-ca")
	i.icinga(t, "pki", "new-cert", "--cn", "saltless", "--key", i.path("data/certs/saltless.key"), "--csr", i.path("data/certs/saltless.csr"))
	i.icinga(t, "pki", "sign-csr", "--csr", i.path("data/certs/saltless.csr"), "--cert", i.path("data/certs/saltless.crt"))
	i.command(t, "cp", "--preserve=ownership", i.path("data/ca/ca.crt"), i.path("data/certs/ca.crt"))
	return i
}

func (i *instance) path(name string) string { return filepath.Join(i.dir, name) }

func (i *instance) read(t *testing.T, name string) []byte {
	text, err := os.ReadFile(i.path(name))
	noError(t, err)
	return text
}

func (i *instance) trust(t *testing.T) pki.Trust {
	roots, err := pki.ParseCertificates(i.read(t, "data/certs/ca.crt"))
	noError(t, err)
	return pki.Trust{Roots: roots}
}

func (i *instance) signCSR(t *testing.T, csr []byte) []byte {
	noError(t, os.WriteFile(i.path("data/certs/client.csr"), csr, 0o644))
	i.icinga(t, "pki", "sign-csr", "--csr", i.path("data/certs/client.csr"), "--cert", i.path("data/certs/client.crt"))
	return i.read(t, "data/certs/client.crt")
}

func (i *instance) command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

func (i *instance) icinga(t *testing.T, args ...string) {
	t.Helper()
	i.command(t, "icinga2", i.defined(args...)...)
}

func (i *instance) defined(args ...string) []string {
	for name, dir := range map[string]string{"ConfigDir": "etc", "ZonesDir": "etc/zones.d", "DataDir": "data", "LogDir": "log",
		"CacheDir": "cache", "SpoolDir": "spool", "InitRunDir": "run"} {
		args = append(args, "-D", "Configuration."+name+"="+i.path(dir))
	}
	return args
}

// start returns when Icinga listens. It runs until the test's end, or stop.
func (i *instance) start(t *testing.T, objects string) {
	t.Helper()
	host, port, err := net.SplitHostPort(i.address)
	noError(t, err)
	config := fmt.Sprintf(`const NodeName = "saltless"
const ZoneName = "saltless"
object Endpoint NodeName {}
object Zone ZoneName { endpoints = [ NodeName ] }
object ApiListener "api" {
  bind_host = "%s"
  bind_port = %s
}
%s`, host, port, objects)
	noError(t, os.WriteFile(i.path("etc/icinga2.conf"), []byte(config), 0o644))
	i.process = exec.Command("icinga2", i.defined("daemon")...)
	i.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	noError(t, i.process.Start())
	t.Cleanup(func() { i.stop(t) })
	probe := &pki.Client{Trust: i.trust(t)}
	for end := time.Now().Add(30 * time.Second); ; {
		_, err := probe.Probe(t.Context(), pki.Endpoint{Address: i.address})
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("Icinga does not listen: %v", err)
		}
	}
}

// stop ends the daemon and the workers that it has started. Not by SIGTERM:
// just after its start Icinga 2.13.6 was seen to live on.
func (i *instance) stop(t *testing.T) {
	if i.process == nil {
		return
	}
	noError(t, syscall.Kill(-i.process.Process.Pid, syscall.SIGKILL))
	_ = i.process.Wait() // it ended by the signal
	i.process = nil
}

var _ apiAuthority = (*lab)(nil)
