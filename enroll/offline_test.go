package enroll_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"icinga-enroll/enroll"
)

func TestPrepareCSR(t *testing.T) {
	n := newOfflineNode(t)
	subject := pkix.Name{CommonName: "ignored", Organization: []string{"Example, Ltd"}, OrganizationalUnit: []string{"Ops"}}
	p, err := n.PrepareCSR(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(read(t, p.CSR)))
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || csr.CheckSignature() != nil || csr.Subject.String() != `CN=web1.example.com,OU=Ops,O=Example\, Ltd` {
		t.Fatalf("the request is %+v (%v)", csr, err)
	}
	key := read(t, p.Key)
	if _, err := n.PrepareCSR(t.Context(), pkix.Name{}); err != nil || read(t, p.Key) != key {
		t.Errorf("the key was replaced (%v)", err)
	}
	cert, err := n.authority.ca.Sign(csr.PublicKey, nodeName, time.Now().Add(-time.Minute), time.Now().Add(day))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Import(t.Context(), enroll.Files{Certificate: [][]byte{pemOf(cert)}, CA: pemOf(n.authority.ca.Certificate())}); err != nil {
		t.Error(err)
	}
}

func TestPrepareCSRRefuses(t *testing.T) {
	tests := map[string]struct {
		prepare func(t *testing.T, n *node) pkix.Name
		want    string
	}{
		"a name with a comma":     {func(_ *testing.T, n *node) pkix.Name { n.Name = "a,b"; return pkix.Name{} }, "can't be a node's name"},
		"a name that isn't ASCII": {func(_ *testing.T, n *node) pkix.Name { n.Name = "wéb1"; return pkix.Name{} }, "can't be a node's name"},
		"an organization of two lines": {func(*testing.T, *node) pkix.Name {
			return pkix.Name{Organization: []string{"a\nb"}}
		}, "can't be an organization"},
		"a long unit": {func(*testing.T, *node) pkix.Name {
			return pkix.Name{OrganizationalUnit: []string{strings.Repeat("a", 65)}}
		}, "can't be an organization"},
		"a key that is none": {func(t *testing.T, n *node) pkix.Name { n.write(t, n.cert(".key"), []byte("mine")); return pkix.Name{} }, "is not replaced"},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			n := newOfflineNode(t)
			subject := tt.prepare(t, n)
			before := n.listing(t)
			_, err := n.PrepareCSR(t.Context(), subject)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("the error is %v, want one with %q", err, tt.want)
			}
			if after := n.listing(t); len(after) != len(before) || after[n.cert(".key")] != before[n.cert(".key")] {
				t.Errorf("files were changed: %d before, %d after", len(before), len(after))
			}
		})
	}
}

// Nobody is asked for the name: a machine that has none of its own says so.
func TestNameOfARequest(t *testing.T) {
	n := newOfflineNode(t)
	n.Director, n.Name = n.director, ""
	n.director.parameters = nil
	p, err := n.PrepareCSR(t.Context(), pkix.Name{})
	if err != nil || p.Name != "Web1.Example.COM" {
		t.Errorf("the name is %q (%v), want the FQDN", p.Name, err)
	}
}
