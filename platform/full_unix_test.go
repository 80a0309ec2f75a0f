//go:build unix

package platform

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

func init() {
	// The size limit for files makes a write fail in its midst, as a full disk does.
	helpers["limited"] = func(d *Dir) string {
		limit := syscall.Rlimit{Cur: 4096, Max: 4096}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			return err.Error()
		}
		data := []byte(strings.Repeat("new", 10_000))
		return fmt.Sprint(d.WriteFile("file", data, 0o600, Owner{}), "; ", d.Probe(30_000), "; ", d.Probe(100))
	}
}

func TestWriteThatFailsHalfway(t *testing.T) {
	path := ownFolder(t)
	d := openDir(t, path)
	write(t, d, "file", "old")
	said := startHelper(t, "limited", path).said
	if strings.Count(said, syscall.EFBIG.Error()) != 2 || !strings.HasSuffix(said, "; <nil>") {
		t.Error(said)
	}
	if got := read(t, d, "file"); got != "old" {
		t.Errorf("the old file became %q", got)
	}
	wantNames(t, d, "file")
}
