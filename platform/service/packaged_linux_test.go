package service

import (
	"strings"
	"testing"
)

// A package's unit that differs from ours would be hidden by one in /etc.
func TestPackagedUnitIsTheInstalledOne(t *testing.T) {
	files, err := Packaged(example)
	if err != nil {
		t.Fatal(err)
	}
	want, err := unit(example)
	if err != nil {
		t.Fatal(err)
	}
	if files["icinga-enroll.service"] != want {
		t.Error("the package's unit isn't the one that Install writes")
	}
	if files["icinga-enroll.openrc"] != fill(openrcTemplate, example) {
		t.Error("the package's script isn't the one that Install writes")
	}
	if len(example.Arguments) != 3 || example.Arguments[2] != "run" {
		t.Errorf("the caller's arguments are now %q", example.Arguments)
	}
}

func TestPackagedUnits(t *testing.T) {
	files, err := Packaged(example)
	if err != nil {
		t.Fatal(err)
	}
	for name, lines := range map[string][]string{
		"icinga-enroll-renew.service": {
			"ExecStart=/usr/bin/icinga-enroll --config /etc/icinga-enroll/config.yml renew --due",
			"Type=oneshot", "ProtectSystem=strict", "LoadCredential=template-key", "ReadWritePaths=/var/lib",
		},
		"icinga-enroll.timer": {"Unit=icinga-enroll-renew.service", "Persistent=true"},
		"icinga-enroll@.service": {
			"ExecStart=/usr/bin/icinga-enroll --instance %i --config ${CREDENTIALS_DIRECTORY}/config run",
			"User=icinga-enroll", "CapabilityBoundingSet=", "ProtectSystem=strict",
		},
	} {
		for _, line := range lines {
			if !strings.Contains(files[name], "\n"+line+"\n") {
				t.Errorf("%s has no line %s:\n%s", name, line, files[name])
			}
		}
	}
	for name, text := range files {
		if strings.Contains(text, "\n[Unit]\n") && !strings.Contains(text, "\nDocumentation=man:icinga-enroll(1)\n") {
			t.Errorf("%s names no manual", name)
		}
		for _, left := range []string{"@NAME@", "@DESCRIPTION@", "@EXEC@", "@PROGRAM@", "@CONDITION@", "@WRITE@", "@SANDBOX@"} {
			if strings.Contains(text, left) {
				t.Errorf("%s: %s is not filled in", name, left)
			}
		}
	}
}
