package enroll

import (
	"testing"

	"icinga-enroll/pki"
	"icinga-enroll/pki/pkitest"
	"icinga-enroll/platform"
)

// enrolled is a node with a state as it is on an enrolled machine.
func enrolled(b *testing.B) *node {
	b.Helper()
	ca, err := pkitest.NewCA()
	if err != nil {
		b.Fatal(err)
	}
	dir, err := platform.MakeDir(b.TempDir(), 0o755)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = dir.Close() })
	return &node{Enroller: &Enroller{}, dir: dir, state: State{
		Version: stateVersion, Name: "web1.example.com", HostKey: "0123456789abcdef0123456789abcdef01234567",
		CA: string(pki.EncodeCertificates(ca.Certificate())), EnrolledAt: &Reached{Name: "master1", Address: "192.0.2.1:5665"},
	}}
}

// It includes two syncs: of the file and of its folder.
func BenchmarkStateSave(b *testing.B) {
	n := enrolled(b)
	for b.Loop() {
		if err := n.save(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStateLoad(b *testing.B) {
	n := enrolled(b)
	if err := n.save(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := loadState(n.dir); err != nil {
			b.Fatal(err)
		}
	}
}
