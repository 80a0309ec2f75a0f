package main

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"icinga-enroll/pki/pkitest"
)

// signcsr CSR AGE LEFT FILE has the sandbox's CA sign a PKCS#10 request, as
// "icinga2 pki sign-csr" does: AGE old, with LEFT to go (Go durations).
func cmdSignCSR(ts *testscript.TestScript, _ bool, args []string) {
	block, _ := pem.Decode([]byte(ts.ReadFile(args[0])))
	if block == nil {
		ts.Fatalf("%s holds no PEM", args[0])
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	ts.Check(err)
	ts.Check(csr.CheckSignature())
	age, err := time.ParseDuration(args[1])
	ts.Check(err)
	left, err := time.ParseDuration(args[2])
	ts.Check(err)
	cert, err := scriptOf(ts).CA.Sign(csr.PublicKey, csr.Subject.CommonName, time.Now().Add(-age), time.Now().Add(left))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), pemOf(cert), 0o600))
}

// apiuser NAME CN PERMISSION... makes an ApiUser of the sandbox's master.
func cmdAPIUser(ts *testscript.TestScript, _ bool, args []string) {
	scriptOf(ts).Master.AddAPIUser(pkitest.APIUser{Name: args[0], ClientCN: args[1], Permissions: args[2:]})
}
