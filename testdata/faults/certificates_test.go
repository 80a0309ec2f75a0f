package faults

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"time"
)

const day = 24 * time.Hour

// An authority is a CA: one of the test's own, or the lab's.
type authority struct {
	cert *x509.Certificate
	key  crypto.PrivateKey
}

// otherCA is believed by nobody.
var otherCA = newAuthority("Another CA")

func newAuthority(name string) authority {
	key := newKey()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-day), NotAfter: time.Now().Add(100 * day),
		IsCA: true, BasicConstraintsValid: true,
	}
	return authority{sign(template, template, key.Public(), key), key}
}

// labAuthority is the CA of the lab's Icinga.
func labAuthority(folder string) authority {
	pair := must(tls.LoadX509KeyPair(filepath.Join(folder, "master/data/ca/ca.crt"), filepath.Join(folder, "master/data/ca/ca.key")))
	return authority{pair.Leaf, pair.PrivateKey}
}

// issue signs what an Icinga CA would have signed, valid from age ago until left
// from now.
func (a authority) issue(name string, key crypto.PublicKey, age, left time.Duration) *x509.Certificate {
	return sign(leaf(name, age, left), a.cert, key, a.key)
}

// server is a server's certificate, with its CA behind it as Icinga sends it.
func (a authority) server(name string, ip net.IP, age, left time.Duration) tls.Certificate {
	key, template := newKey(), leaf(name, age, left)
	if ip != nil {
		template.IPAddresses = []net.IP{ip}
	}
	cert := sign(template, a.cert, key.Public(), a.key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw, a.cert.Raw}, PrivateKey: key}
}

func leaf(name string, age, left time.Duration) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-age), NotAfter: time.Now().Add(left),
		BasicConstraintsValid: true,
	}
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.PrivateKey) *x509.Certificate {
	der := must(x509.CreateCertificate(rand.Reader, template, parent, public, key))
	return must(x509.ParseCertificate(der))
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func serial() *big.Int { return must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 159))) }

func asPEM(cert *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
}

func fromPEM(text string) *x509.Certificate {
	block, _ := pem.Decode([]byte(text))
	return must(x509.ParseCertificate(block.Bytes))
}

// must is for what can't fail while the test is right.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
