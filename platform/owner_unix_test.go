//go:build unix

package platform

import "testing"

func TestLookupOwner(t *testing.T) {
	folder := Owner{account{uid: 7, gid: 8, given: true}}
	for _, test := range []struct {
		account, group string
		want           Owner
	}{
		{"root", "", Owner{account{0, 8, true}}},
		{"", "4321", Owner{account{7, 4321, true}}},
		{"12", "0", Owner{account{12, 0, true}}},
	} {
		got, err := LookupOwner(test.account, test.group)
		if err != nil || got.Or(folder) != test.want {
			t.Errorf("%q, %q: %v, %v, want %v", test.account, test.group, got.Or(folder), err, test.want)
		}
	}
	if (Owner{}).Or(folder) != folder {
		t.Error("nobody in particular is not the folder's owner")
	}
	for _, bad := range []string{"no-such-name", "-1", "4294967295", "1.5"} {
		if got, err := LookupOwner(bad, ""); err == nil {
			t.Errorf("account %q is %v", bad, got)
		}
		if got, err := LookupOwner("", bad); err == nil {
			t.Errorf("group %q is %v", bad, got)
		}
	}
}
