package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// secretKind is a kind of secret.
type secretKind string

const (
	templateKey secretKind = "the template key"
	hostKey     secretKind = "the host API key"
	ticket      secretKind = "the ticket"
	password    secretKind = "a password"
	privateKey  secretKind = "a private key"
)

// homes are the names of the files that may hold one: this program's, and those
// that scripts bring and copy.
var homes = map[secretKind]*regexp.Regexp{
	templateKey: regexp.MustCompile(`^template-key~?$`),
	hostKey:     regexp.MustCompile(`^((state|kept|good)\.json|host-key)$`),
	ticket:      regexp.MustCompile(`^(static|other)$`),
	password:    regexp.MustCompile(`^(.*password|web|api|controller|root\.curl)$`),
	privateKey:  regexp.MustCompile(`\.(key|key\.[0-9a-f]{8}|pem)$`),
}

// audit keeps what a script prints, and the secrets that it has used.
type audit struct {
	*testing.T
	mu      sync.Mutex
	secrets map[string]secretKind
}

func (a *audit) Parallel()     {}
func (a *audit) Verbose() bool { return true } // or testscript forgets the output of what went well

func (a *audit) Run(_ string, f func(testscript.T)) { f(a) } // one script, which is a subtest already

// Log gets the whole output of the script, once. The script's own lines are not
// what the program has said.
func (a *audit) Log(args ...any) {
	out := fmt.Sprint(args...)
	said := scriptLines.ReplaceAllString(out, "")
	for secret, kind := range a.secrets {
		if strings.Contains(said, secret) {
			a.T.Errorf("%s shows in the output", kind)
		}
	}
	a.T.Log(out)
}

var scriptLines = regexp.MustCompile(`(?m)^> .*$`)

func (a *audit) secret(k secretKind, value string) {
	if value == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.secrets[value] = k
}

// searchFiles looks through what the script has left below dir, for the secrets
// that it knows of and those that the program has made.
func (a *audit) searchFiles(dir string) {
	files := map[string]string{}
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil || bytes.HasPrefix(data, []byte("\x7fELF")) { // this program has the marks of a key in it
			return nil
		}
		files[path] = string(data)
		a.collectKeys(string(data))
		return nil
	})
	for path, data := range files {
		a.searchFile(path, data)
	}
}

// searchFile wants secrets nowhere but at home, and there not for every account;
// and nothing half written.
func (a *audit) searchFile(path, data string) {
	name := filepath.Base(path)
	if strings.HasPrefix(name, ".icinga-enroll-") {
		a.T.Errorf("%s is left, which was being written", path)
	}
	for secret, kind := range a.secrets {
		if !strings.Contains(data, secret) {
			continue
		}
		if !homes[kind].MatchString(name) {
			a.T.Errorf("%s is in %s", kind, path)
		} else if err := notForEverybody(path); err != nil {
			a.T.Errorf("%s is in %s for every account (%v)", kind, path, err)
		}
	}
}

// collectKeys takes the first line of a private key, and a state's host API key.
func (a *audit) collectKeys(data string) {
	if _, body, found := strings.Cut(data, "PRIVATE KEY-----\n"); found {
		line, _, _ := strings.Cut(body, "\n")
		a.secret(privateKey, line)
	}
	if _, rest, found := strings.Cut(data, `"host_api_key": "`); found {
		key, _, _ := strings.Cut(rest, `"`)
		a.secret(hostKey, key)
	}
}
