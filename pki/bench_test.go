package pki_test

import (
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
