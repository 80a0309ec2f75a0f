package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"icinga-enroll/enroll"
	"icinga-enroll/platform"
)

// metrics is what node_exporter's textfile collector reads, in Prometheus' text
// format. Names and units follow Prometheus' conventions: seconds, Unix time.
func metrics(s enroll.Status, now time.Time) []byte {
	var b bytes.Buffer
	gauge := func(name, help, labels string, value any) {
		fmt.Fprintf(&b, "# HELP icinga_enroll_%s %s\n# TYPE icinga_enroll_%[1]s gauge\nicinga_enroll_%[1]s{%[3]s} %[4]v\n", name, help, labels, value)
	}
	name := "cn=" + label(s.Name)
	if c := s.Certificate; c != nil {
		gauge("certificate_not_after_seconds", "End of the certificate, Unix time.", name, c.NotAfter.Unix())
		gauge("certificate_left_days", "Whole days until then.", name, int(c.NotAfter.Sub(now).Hours()/24))
	}
	if !s.LastSuccess.IsZero() {
		gauge("last_success_seconds", "When a run last changed something or mended an error, Unix time.", name, s.LastSuccess.Unix())
	}
	attempts, kind := 0, "none"
	if e := s.LastError; e != nil {
		attempts, kind = e.Attempts, string(e.Kind)
	}
	gauge("failed_attempts", "Runs that have failed in a row.", name, attempts)
	gauge("last_error", "1, with the kind of the last run's error as a label.", name+",kind="+label(kind), 1)
	gauge("state", "1, with where the node stands as a label.", name+",state="+label(string(s.State)), 1)
	return b.Bytes()
}

// label is a label's value. The format knows these three escapes, and one that it
// doesn't know has the collector read none of the file.
func label(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(value) + `"`
}

// writeMetrics replaces file where something has changed.
func writeMetrics(file string, s enroll.Status, now time.Time) error {
	dir, err := platform.OpenDir(filepath.Dir(file))
	if err != nil {
		return fmt.Errorf("metrics.textfile: %w", err)
	}
	defer func() { _ = dir.Close() }()
	data := metrics(s, now)
	if old, err := dir.ReadFile(filepath.Base(file)); err == nil && bytes.Equal(old, data) {
		return nil
	}
	return dir.WriteFleeting(filepath.Base(file), data, 0o644)
}
