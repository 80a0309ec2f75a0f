package enroll_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"icinga-enroll/enroll"
	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/selfservice"
)

// imported is a node that is an API client: nothing but its certificate.
func imported(t *testing.T) (*node, handed) {
	t.Helper()
	n := newOfflineNode(t)
	n.Endpoints = []enroll.Endpoint{{Name: "master1", Address: "192.0.2.1:5665"}}
	h := handOver(t, n.authority.ca, nodeName, -day, 300*day)
	if _, err := n.Import(t.Context(), enroll.Files{Certificate: [][]byte{pemOf(h.cert, h.ca), h.keyPEM(t)}}); err != nil {
		t.Fatal(err)
	}
	return n, h
}

// What is exported is what an import takes.
func TestExportedIsABundle(t *testing.T) {
	tests := map[string]enroll.Export{
		"pem":            {Format: enroll.ExportPEM},
		"pkcs12":         {Format: enroll.ExportPKCS12, Password: secret.New("sesame")},
		"pkcs12, legacy": {Format: enroll.ExportPKCS12, Password: secret.New("sesame"), Legacy: true},
	}
	for what, x := range tests {
		t.Run(what, func(t *testing.T) {
			n, h := imported(t)
			x.File = filepath.Join(t.TempDir(), "out")
			if err := n.Export(t.Context(), x); err != nil {
				t.Fatal(err)
			}
			b, err := pki.ParseBundle(nil, x.Password, []byte(read(t, x.File)))
			if err != nil || !b.Certificate.Equal(h.cert) || b.Key == nil || !slices.ContainsFunc(b.CA, h.ca.Equal) {
				t.Errorf("what was exported is %+v (%v)", b, err)
			}
		})
	}
}

func TestExportOverwritesNothing(t *testing.T) {
	for what, make := range map[string]func(file string) error{
		"a file":            func(file string) error { return os.WriteFile(file, []byte("mine"), 0o600) },
		"a link to nowhere": func(file string) error { return os.Symlink(file+"-elsewhere", file) },
		"a link to somebody": func(file string) error {
			theirs := filepath.Join(t.TempDir(), "theirs")
			return errors.Join(os.WriteFile(theirs, []byte("theirs"), 0o600), os.Symlink(theirs, file))
		},
	} {
		t.Run(what, func(t *testing.T) {
			n, _ := imported(t)
			file := filepath.Join(t.TempDir(), "out.pem")
			if err := make(file); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := n.Export(t.Context(), enroll.Export{Format: enroll.ExportPEM, File: file}); !errors.Is(err, fs.ErrExist) {
				t.Fatalf("the error is %v, want fs.ErrExist", err)
			}
			after, err := os.Lstat(file)
			if err != nil || !os.SameFile(before, after) || before.Size() != after.Size() || exists(file+"-elsewhere") {
				t.Errorf("it was changed: %v (%v)", after, err)
			}
		})
	}
}

func TestExportForCurl(t *testing.T) {
	told := &selfservice.Parameters{Parents: []selfservice.Parent{{Name: "master1", Host: "master1", Port: "5665"}, {Name: "master2"}}}
	tests := map[string]struct {
		parents func(n *node)
		want    []string
		not     string
	}{
		"ca.endpoints, by address": {
			func(*node) {}, []string{`url = "https://master1:5665/v1/"`, `connect-to = "master1:5665:192.0.2.1:5665"`}, "",
		},
		"agent.parents, by name": {
			func(n *node) { n.Endpoints, n.Agent.Parents = nil, told.Parents }, []string{`url = "https://master1:5665/v1/"`}, "connect-to",
		},
		"IPv6": {
			func(n *node) { n.Endpoints[0].Address = "[2001:db8::1]:5665" }, []string{`connect-to = "master1:5665:[2001:db8::1]:5665"`}, "",
		},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			n, _ := imported(t)
			tt.parents(n)
			file := filepath.Join(t.TempDir(), "curl")
			if err := n.Export(t.Context(), enroll.Export{Format: enroll.ExportCurl, File: file}); err != nil {
				t.Fatal(err)
			}
			text := read(t, file)
			for _, line := range tt.want {
				if !strings.Contains(text, line+"\n") {
					t.Errorf("%s lacks %s", text, line)
				}
			}
			if tt.not != "" && strings.Contains(text, tt.not) {
				t.Errorf("%s has %s", text, tt.not)
			}
		})
	}
}

// api is a parent's, as a certificate of the ApiUser alice finds it.
type api struct{ err error }

func (a api) WhoAmI(context.Context) (pki.Identity, error) {
	return pki.Identity{User: "alice"}, a.err
}

func TestWhoAmI(t *testing.T) {
	down := errors.New("connection refused")
	tests := map[string]struct {
		answers map[string]error // by address
		where   string
		err     error
	}{
		"the first answers":         {map[string]error{}, "192.0.2.1:5665", nil},
		"the first is down":         {map[string]error{"192.0.2.1:5665": down}, "192.0.2.2:5665", nil},
		"all are down":              {map[string]error{"192.0.2.1:5665": down, "192.0.2.2:5665": down}, "", down},
		"the first doesn't know it": {map[string]error{"192.0.2.1:5665": pki.ErrUnauthorized}, "192.0.2.1:5665", pki.ErrUnauthorized},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			n, h := imported(t)
			n.APIClient = true
			n.Endpoints = append(n.Endpoints, enroll.Endpoint{Name: "master2", Address: "192.0.2.2:5665"})
			n.ParentAPI = func(ep pki.Endpoint, trust pki.Trust, own tls.Certificate) enroll.ParentAPI {
				if !own.Leaf.Equal(h.cert) || len(trust.Roots) != 1 || len(ep.Names) != 1 {
					t.Errorf("asked is %+v with trust in %+v", ep, trust)
				}
				return api{tt.answers[ep.Address]}
			}
			_, where, err := n.WhoAmI(t.Context())
			if where != tt.where || !errors.Is(err, tt.err) {
				t.Errorf("it is %q, %v, want %q, %v", where, err, tt.where, tt.err)
			}
		})
	}
}

// An agent's certificate isn't shown.
func TestWhoAmIIsNotForAgents(t *testing.T) {
	n := newNode(t)
	n.mustEnsure(t)
	n.APIClient = true // it may say so, the state knows better
	n.ParentAPI = func(pki.Endpoint, pki.Trust, tls.Certificate) enroll.ParentAPI {
		t.Error("a parent was asked")
		return api{}
	}
	if _, _, err := n.WhoAmI(t.Context()); err == nil || !strings.Contains(err.Error(), "is an Icinga agent") {
		t.Errorf("the error is %v", err)
	}
}

// Of a certificate that was brought by hand nobody has said that it isn't an agent's.
func TestWhoAmITakesAProfile(t *testing.T) {
	n, _ := imported(t)
	n.ParentAPI = func(pki.Endpoint, pki.Trust, tls.Certificate) enroll.ParentAPI {
		t.Error("a parent was asked")
		return api{}
	}
	if _, _, err := n.WhoAmI(t.Context()); err == nil || !strings.Contains(err.Error(), "set profile: api-client") {
		t.Errorf("the error is %v", err)
	}
}
