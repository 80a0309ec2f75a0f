package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rooms is the plan of the house: which package may import which others of
// this project, and which libraries. The standard library is open to all.
// Packages of fakes belong to the room that they fake.
var rooms = map[string][]string{
	"enroll/secret":               {},
	"selfservice":                 {"enroll/secret"},
	"selfservice/selfservicetest": {},
	"pki":                         {"enroll/secret", "pki/internal/netstring", "software.sslmate.com/src/go-pkcs12", "github.com/foxboron/go-tpm-keyfiles", "github.com/google/go-tpm/tpm2", "github.com/google/go-tpm/tpm2/transport"},
	"pki/internal/netstring":      {},
	"pki/pkitest":                 {"pki", "pki/internal/netstring"},
	"renew":                       {"github.com/cenkalti/backoff/v4", "github.com/hashicorp/go-hclog"},
	"platform":                    {"golang.org/x/sys/windows"},
	"platform/machine":            {"golang.org/x/sys/windows", "golang.org/x/sys/windows/registry", "golang.org/x/sys/unix"},
	"platform/service":            {"github.com/kardianos/service", "platform"},
	"platform/agent":              {"platform", "platform/service"},
	"enroll":                      {"enroll/secret", "selfservice", "pki", "renew", "platform", "platform/agent", "platform/machine"},
	"enroll/sandbox":              {"selfservice/selfservicetest", "pki", "pki/pkitest"},
	"packaging/tool":              {},
	"cmd/icinga-enroll": {
		"enroll", "enroll/sandbox", "enroll/secret", "selfservice", "pki", "renew", "platform", "platform/service", "platform/agent", "platform/machine",
		"github.com/spf13/cobra", "github.com/spf13/pflag",
		"github.com/knadh/koanf/v2", "github.com/knadh/koanf/providers/confmap", "go.yaml.in/yaml/v3",
		"golang.org/x/term", "github.com/hashicorp/go-hclog", "github.com/rogpeppe/go-internal/diff",
	},
}

func TestEveryPackageKeepsToItsRoom(t *testing.T) {
	const module = "icinga-enroll/"
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; seen++ {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(pkg.ImportPath, module)
		allowed, known := rooms[name]
		if !known {
			t.Errorf("%s has no room in the plan", name)
		}
		for _, imported := range pkg.Imports {
			ours, isOurs := strings.CutPrefix(imported, module)
			isLibrary := strings.Contains(strings.Split(imported, "/")[0], ".")
			if (isOurs || isLibrary) && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which the plan does not allow", name, imported)
			}
		}
	}
	if seen != len(rooms) {
		t.Errorf("the plan has %d rooms, the module %d packages", len(rooms), seen)
	}
}
