//go:build e2e

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"icinga-enroll/pki"
	"icinga-enroll/pki/pkitest"
)

// chips are the TPMs of a script, by their names.
type chips map[string]*pkitest.SWTPM

// tpm NAME new switches a new TPM on and sets $NAME to its socket. tpm NAME stop and
// start switch it off and on; tpm NAME PROGRAM ARG... runs one of tpm2-tools on it.
func (c chips) cmd(ts *testscript.TestScript, _ bool, args []string) {
	name, do := args[0], args[1]
	switch do {
	case "new":
		dir, err := os.MkdirTemp("", "tpm") // a socket's path is short
		ts.Check(err)
		ts.Defer(func() { _ = os.RemoveAll(dir) })
		c[name] = &pkitest.SWTPM{Dir: dir}
		ts.Setenv(name, c[name].Socket())
		ts.Check(c[name].Start())
		ts.Defer(c[name].Stop)
	case "start":
		ts.Check(c[name].Start())
	case "stop":
		c[name].Stop()
	default:
		ts.Check(c[name].Tool(do, args[2:]...))
	}
}

// keys asserts that there is a private key in a file of the script's: PEM or DER, as
// a whole or within. What a TPM alone can load is none.
func cmdKeys(ts *testscript.TestScript, neg bool, _ []string) {
	var found []string
	ts.Check(filepath.WalkDir(scriptOf(ts).dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(file)
		if holdsKey(data) {
			found = append(found, file)
		}
		return err
	}))
	if neg != (len(found) == 0) {
		ts.Fatalf("private keys in %q", found)
	}
}

func holdsKey(data []byte) bool {
	if _, err := pki.ParseKeyFile(data); err == nil {
		return true
	}
	text := strings.ReplaceAll(string(data), "-----BEGIN TSS2 PRIVATE KEY", "")
	return strings.Contains(text, "-----BEGIN") && strings.Contains(text, " PRIVATE KEY")
}
