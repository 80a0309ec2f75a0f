package main

import (
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
