package platform

import (
	"io/fs"
	"testing"
)

func TestRightsOnWindows(t *testing.T) {
	const keepers = "D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FA;;;S-1-3-4)"
	for _, c := range []struct {
		what   string
		perm   fs.FileMode
		agents bool
		want   string
	}{
		{"the state, with the host's key", 0o600, false, keepers},
		{"what the owner's group may read", 0o640, false, keepers},
		{"the status", 0o644, false, keepers + "(A;;FR;;;BU)"},
		{"the agent's key", 0o600, true, keepers + "(A;;FR;;;NS)"},
		{"the agent's key, for its group", 0o640, true, keepers + "(A;;FR;;;NS)"},
		{"the agent's certificate", 0o644, true, ""},
	} {
		if got := rightsOfFile(c.perm, c.agents); got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, got, c.want)
		}
	}
	const folder = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;S-1-3-4)(A;CI;0x1200a9;;;BU)"
	for perm, want := range map[fs.FileMode]string{0o755: folder, 0o750: "", 0o700: ""} {
		if got := rightsOfFolder(perm); got != want {
			t.Errorf("a folder with %v: got %s, want %s", perm, got, want)
		}
	}
}
