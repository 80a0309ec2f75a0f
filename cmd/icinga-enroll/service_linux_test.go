package main

import (
	"os"
	"strings"
	"testing"

	"icinga-enroll/platform"
)

// What a template's unit may write is in nobody's hands but its owner's.
func TestAnInstanceIsToldWhatItsUnitLacks(t *testing.T) {
	c := loaded{instance: instance{service: "icinga-enroll@grafana", paths: platform.Paths{State: "/var/lib/x"}}}
	c.Paths.State, c.Paths.Certs = "/var/lib/x", "/var/lib/x/certs"
	if said := c.takesDropIn(); said != "" {
		t.Errorf("it needs nothing, and it says %s", said)
	}
	c.Paths.Certs, c.Metrics.Textfile = "/srv/certs", "/srv/metrics/x.prom"
	for _, want := range []string{"ReadWritePaths=/srv/certs\n", "ReadWritePaths=/srv/metrics\n"} {
		if said := c.takesDropIn(); !strings.Contains(said, want) {
			t.Errorf("it says %q, without %s", said, want)
		}
	}
	c.instance.service = "icinga-enroll-grafana"
	if said := c.takesDropIn(); said != "" {
		t.Errorf("a unit of its own may write there, and it says %s", said)
	}
}

// No account but root can have a service started at boot, and an instance of a
// package's is sealed as another one.
func TestWhoSealsAnInstanceIsToldWhatRootDoes(t *testing.T) {
	const command = "icinga-enroll --instance grafana service install"
	in := instance{name: "grafana", service: "icinga-enroll@grafana"}
	if said := in.own(notAtBoot(in)); !strings.Contains(said, "as root: "+command) {
		t.Errorf("seal --check says %q", said)
	}
	if said := in.own("enable: Access denied" + rootEnables(in)); !strings.HasSuffix(said, "; as root: "+command) {
		t.Errorf("seal says %q", said)
	}
}

func TestRootSealsWithTheService(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("others are told what root does")
	}
	if said := notAtBoot(instance{service: "icinga-enroll"}); !strings.Contains(said, "icinga-enroll seal sees to that") {
		t.Errorf("it says %q", said)
	}
}
