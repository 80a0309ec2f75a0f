package pki_test

import (
	"crypto/x509"
	"testing"
	"time"

	"icinga-enroll/pki"
)

func BenchmarkGenerateKey(b *testing.B) {
	for _, kind := range pki.KeyTypes() {
		b.Run(string(kind), func(b *testing.B) {
			for b.Loop() {
				if _, err := pki.GenerateKey(kind); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRequestCertificate(b *testing.B) {
	for _, kind := range pki.KeyTypes() {
		b.Run(string(kind), func(b *testing.B) {
			key, err := pki.GenerateKey(kind)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := pki.RequestCertificate(key, "web1.example.com", time.Now()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Icinga's CA has an RSA key of 4096 bits, and its certificate comes with the
// answer as well as with the connection.
func BenchmarkVerifyIssued(b *testing.B) {
	authority, key := newKeyOf(b, pki.RSA4096), newKeyOf(b, pki.RSA4096)
	template := named("Icinga CA", true)
	ca := certify(b, template, template, authority.Public(), authority)
	issued := pki.Issued{
		Certificate: certify(b, named("web1", false), ca, key.Public(), authority),
		CA:          []*x509.Certificate{ca},
		Peer:        pki.Peer{CA: ca},
	}
	trust := pki.Trust{Pins: []pki.Pin{pki.PublicKeyPin(ca)}}
	for b.Loop() {
		if _, err := trust.VerifyIssued(issued, key.Public(), "web1", time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}
