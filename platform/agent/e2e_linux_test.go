//go:build e2e

package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	rand2 "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"icinga-enroll/platform"
)

// pristine is Debian's installation, copied: the folder of the machine's own
// agent is left as it is.
func pristine(t *testing.T) Agent {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err, os.Chmod(root, 0o755), os.Chmod(filepath.Dir(root), 0o755))
	a := Agent{ConfigDir: filepath.Join(root, "etc"), DataDir: filepath.Join(root, "data"), Run: runProgram}
	out, err := runProgram(t.Context(), []string{"cp", "-a", "/etc/icinga2", a.ConfigDir}, nil)
	if err != nil {
		t.Fatal(out)
	}
	a.ValidateCommand = []string{"icinga2", "daemon", "-C",
		"-D", "Configuration.DataDir=" + a.DataDir, "-D", "Configuration.CacheDir=" + a.DataDir, "-D", "Configuration.InitRunDir=" + a.DataDir}
	must(t, os.MkdirAll(a.Certs(), 0o750))
	identity(t, a.Certs())
	info, err := os.Stat(a.ConfigDir)
	must(t, err)
	owner := info.Sys().(*syscall.Stat_t)
	must(t, filepath.WalkDir(a.DataDir, func(path string, _ os.DirEntry, err error) error {
		must(t, err)
		return os.Lchown(path, int(owner.Uid), int(owner.Gid))
	}))
	return a
}

// identity makes a certificate that signs itself, and is its own CA.
func identity(t *testing.T, certs string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: testNode}, DNSNames: []string{testNode},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	must(t, os.WriteFile(filepath.Join(certs, testNode+".crt"), block, 0o644), os.WriteFile(filepath.Join(certs, "ca.crt"), block, 0o644),
		os.WriteFile(filepath.Join(certs, testNode+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

func TestDebiansOwnFilesAreNobodys(t *testing.T) {
	a := pristine(t)
	for _, name := range []string{zonesName, apiName, constantsName, mainName} {
		if text := textOf(t, a, name); !isStock(name, text, testNode) {
			t.Errorf("%s: %q", name, statements(text))
		}
	}
	for name, standing := range standings(mustChange(t, a, twoParents(), nil)) {
		if standing != Nobodys {
			t.Errorf("%s counts as %v", name, standing)
		}
	}
}

// Icinga takes each set, staged and in place, and keeps what it says.
func TestIcingaTakesTheSets(t *testing.T) {
	all := setups()
	all["two-parents"] = twoParents()
	for name, setup := range all {
		t.Run(name, func(t *testing.T) {
			a := pristine(t)
			changes := mustChange(t, a, setup, nil)
			stage := filepath.Join(filepath.Dir(a.ConfigDir), "stage")
			must(t, a.Check(t.Context(), changes, stage), a.Put(news(changes)))
			again := setup
			again.ListenPort = "no port"
			if err := a.Check(t.Context(), mustChange(t, a, again, nil), stage); err == nil {
				t.Error("a broken api.conf was not what Icinga validated")
			}
			out, err := a.Run(t.Context(), append(a.ValidateCommand, "-D", "Configuration.ConfigDir="+a.ConfigDir), nil)
			if err != nil {
				t.Errorf("in place: %v: %s", err, out)
			}
		})
	}
}

// FuzzQuote holds Quote against a reader of its own; Icinga is asked here whether
// it reads the same: the awkward strings, and a thousand that nobody has chosen.
func TestIcingaReadsWhatWasQuoted(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	random := rand2.New(rand2.NewPCG(uint64(seed), 0))
	want := slices.DeleteFunc(slices.Clone(awkward), func(s string) bool { return strings.Contains(s, "\x00") }) // no argument of a program has it
	for range 1000 {
		want = append(want, randomText(random))
	}
	quoted := make([]string, len(want))
	for i, s := range want {
		quoted[i] = Quote(s)
	}
	out, err := exec.Command("icinga2", "console", "--eval", "[ "+strings.Join(quoted, ", ")+" ]").Output()
	var got []string
	if jerr := json.Unmarshal(out, &got); err != nil || jerr != nil || len(got) != len(want) {
		t.Fatalf("Icinga reads %d strings, not %d (%v, %v): %.300s", len(got), len(want), err, jerr, out)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%q became %s, which Icinga reads as %q", want[i], quoted[i], got[i])
		}
	}
}

// randomText is of what means something to Icinga's reader, and of anything else.
func randomText(random *rand2.Rand) string {
	const telling = `"\${}[]/*#;%nrtbfux0123`
	var b strings.Builder
	for range random.IntN(24) {
		switch random.IntN(3) {
		case 0:
			b.WriteByte(telling[random.IntN(len(telling))])
		case 1:
			b.WriteByte(byte(1 + random.IntN(127)))
		default:
			b.WriteRune(rune(0x20 + random.IntN(0xd7ff-0x20)))
		}
	}
	return b.String()
}

// Root keeps each file its owner's, and shows the stage to the agent's account.
func TestOwnersAreKept(t *testing.T) {
	const somebody, agents = 4242, 4343
	a := stock(t, "debian")
	must(t, os.Chmod(filepath.Dir(filepath.Dir(a.ConfigDir)), 0o755))
	must(t, filepath.WalkDir(a.ConfigDir, func(path string, _ os.DirEntry, err error) error {
		must(t, err)
		return os.Lchown(path, agents, agents)
	}), os.Chown(a.path(zonesName), somebody, agents), os.Chown(a.DataDir, agents, agents))
	ownerOf := func(a Agent, name string) int {
		info, err := os.Lstat(a.path(name))
		must(t, err)
		return int(info.Sys().(*syscall.Stat_t).Uid)
	}
	folder := filepath.Join(filepath.Dir(a.ConfigDir), "stage")
	a.Run = func(context.Context, []string, []string) (string, error) {
		for _, name := range []string{".", "features-enabled", "features-available", zonesName, apiName} {
			if got := ownerOf(Agent{ConfigDir: folder}, name); got != agents {
				t.Errorf("the stage's %s belongs to %d", name, got)
			}
		}
		return "", nil
	}
	changes := mustChange(t, a, twoParents(), nil)
	_, err := a.BackUp(changes)
	must(t, err, a.Check(t.Context(), changes, folder), a.Put(news(changes)))
	for name, want := range map[string]int{zonesName: somebody, zonesName + ".orig": somebody, constantsName: agents} {
		if got := ownerOf(a, name); got != want {
			t.Errorf("%s belongs to %d, want %d", name, got, want)
		}
	}
}

// What was enrolled before the agent was installed is root's; the agent must
// read it. What somebody else has laid down stays theirs.
func TestCertificatesOfBeforeBecomeTheAgents(t *testing.T) {
	const somebody, agents = 4242, 4343
	for name, test := range map[string]struct{ before, after int }{"ours": {0, agents}, "somebody's": {somebody, somebody}} {
		t.Run(name, func(t *testing.T) {
			a := Agent{DataDir: filepath.Join(t.TempDir(), "data")}
			key := filepath.Join(a.Certs(), "key")
			must(t, os.MkdirAll(a.Certs(), 0o750), os.WriteFile(key, []byte("secret"), 0o600),
				os.Chown(a.DataDir, agents, agents), os.Chown(a.Certs(), test.before, test.before), os.Chown(key, test.before, test.before))
			mine, err := platform.OpenDir("/")
			must(t, err)
			defer func() { must(t, mine.Close()) }()
			ours, err := mine.Owner()
			must(t, err)
			certs, err := platform.MakeDir(a.Certs(), 0o750)
			must(t, err)
			defer func() { must(t, certs.Close()) }()
			for i := range 2 {
				given, err := a.GiveCerts(certs, ours, "key", "none")
				if err != nil || given != (i == 0 && test.before != test.after) {
					t.Errorf("call %d: given %v, %v", i, given, err)
				}
			}
			for path, mode := range map[string]os.FileMode{a.Certs(): 0o750, key: 0o600} {
				info, err := os.Stat(path)
				must(t, err)
				if stat := info.Sys().(*syscall.Stat_t); int(stat.Uid) != test.after || int(stat.Gid) != test.after || info.Mode().Perm() != mode {
					t.Errorf("%s belongs to %d:%d, mode %v", path, stat.Uid, stat.Gid, info.Mode())
				}
			}
		})
	}
}
