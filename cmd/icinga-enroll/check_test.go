package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"icinga-enroll/enroll"
)

func TestSpans(t *testing.T) {
	tests := []struct {
		text    string
		inside  []float64
		outside []float64
	}{
		{"10", []float64{0, 5, 10}, []float64{-1, 11}},
		{"10:", []float64{10, 1e9}, []float64{9, -1}},
		{"~:10", []float64{-1e9, 10}, []float64{11}},
		{"10:20", []float64{10, 20}, []float64{9, 21}},
		{"@10:20", []float64{9, 21}, []float64{10, 20}},
		{"-5:5.5", []float64{-5, 5.5}, []float64{-6, 6}},
	}
	for _, tt := range tests {
		s, err := parseSpan(tt.text)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
		}
		for _, v := range tt.inside {
			if !s.holds(v) {
				t.Errorf("%q doesn't hold %v", tt.text, v)
			}
		}
		for _, v := range tt.outside {
			if s.holds(v) {
				t.Errorf("%q holds %v", tt.text, v)
			}
		}
	}
	for _, bad := range []string{"", "@", "x", "20:10", ":10", "1:2:3", "~", "nan", "nan:", "inf:", "-inf:5", "1e9:", "0x10:", "1_0"} {
		if _, err := parseSpan(bad); err == nil {
			t.Errorf("%q is taken for a range", bad)
		}
	}
}

func TestCheckJudgesTheWorst(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	with := func(left time.Duration) enroll.Status {
		return enroll.Status{Name: "web1", State: enroll.Enrolled, Certificate: &enroll.Certificate{NotAfter: now.Add(left), File: os.Args[0]}}
	}
	failing := func(s enroll.Status, kind enroll.ErrorKind, since time.Duration) enroll.Status {
		s.LastError = &enroll.LastError{Kind: kind, Message: "the Director is away", Since: now.Add(-since)}
		return s
	}
	pending := enroll.Status{Name: "web1", State: enroll.Pending, Pending: &enroll.Waiting{Fingerprint: "abc", Since: now}}
	rekeying := with(300 * 24 * time.Hour)
	rekeying.Pending = pending.Pending
	cleared := with(300 * 24 * time.Hour)
	cleared.State, cleared.Pending, cleared.Certificate.Unusable = enroll.Pending, pending.Pending, "the TPM doesn't know the key"
	const day = 24 * time.Hour
	tests := map[string]struct {
		status enroll.Status
		bad    string
		lapse  string
		state  int
		says   string
	}{
		"all is well":              {with(300 * day), "", "", stateOK, "valid for 300 days, until 2027-09-18"},
		"14 days left":             {with(14*day + time.Hour), "", "", stateOK, "14 days"},
		"less than 14":             {with(14*day - time.Hour), "", "", stateWarning, "ends in 13 days"},
		"less than 7":              {with(7*day - time.Hour), "", "", stateCritical, "ends in 6 days"},
		"expired an hour ago":      {with(-time.Hour), "expired", "", stateCritical, "expired"},
		"less than 7, and why":     {failing(with(6*day), enroll.KindTemporary, time.Hour), "", "", stateCritical, "the Director is away"},
		"failing for an hour":      {failing(with(300*day), enroll.KindTemporary, time.Hour), "", "", stateOK, "300 days"},
		"failing for over a day":   {failing(with(300*day), enroll.KindTemporary, 25*time.Hour), "", "", stateWarning, "the Director is away"},
		"host key rejected":        {failing(with(300*day), enroll.KindKeyRejected, time.Minute), "", "", stateCritical, "the Director is away"},
		"the file is gone":         {with(300 * day), "the certificate's file is gone", "", stateCritical, "the certificate's file is gone"},
		"a new key waits":          {rekeying, "", "", stateWarning, "icinga2 ca sign abc"},
		"a key is lost":            {cleared, "", "", stateCritical, "doesn't know the key; another waits for approval: icinga2 ca sign abc"},
		"long and with bars":       {failing(with(300*day), enroll.KindKeyRejected, time.Minute), "a|b" + strings.Repeat("x", 2000), "", stateCritical, "a|b"},
		"service dead":             {with(300 * day), "", "its service is enabled but doesn't run", stateCritical, "doesn't run"},
		"waiting for approval":     {pending, "", "", stateWarning, "icinga2 ca sign abc"},
		"no certificate":           {enroll.Status{Name: "web1", State: enroll.Failed}, "", "", stateCritical, "no certificate"},
		"no name yet":              {failing(enroll.Status{State: enroll.Failed}, enroll.KindTemporary, time.Hour), "", "", stateCritical, "this machine: no certificate"},
		"service dead and 13 days": {with(13*day + time.Hour), "", "its service is enabled but doesn't run", stateCritical, "doesn't run"},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			limits, err := parseLimits("14:", "7:")
			if err != nil {
				t.Fatal(err)
			}
			v := judgeStatus(tt.status, tt.bad, tt.lapse, limits, now)
			if v.state != tt.state || !strings.Contains(v.text, tt.says) {
				t.Errorf("%s: %s; want %s: … %s", stateNames[v.state], v.text, stateNames[tt.state], tt.says)
			}
			if (tt.status.Certificate != nil) != strings.HasPrefix(v.perfdata, "days_left=") {
				t.Errorf("performance data is %q", v.perfdata)
			}
			var line strings.Builder
			if err := v.print(&line); err != nil {
				t.Fatal(err)
			}
			text, _, _ := strings.Cut(line.String(), " | days_left=")
			if strings.ContainsAny(text, "|") || len(text) > 1100 || strings.Count(line.String(), "\n") != 1 {
				t.Errorf("the line is %q", line.String())
			}
		})
	}
}

// Who can't read the configuration may look at another folder than it names.
func TestCheckSaysWhichFolderItGuessed(t *testing.T) {
	bad, good := unknown("this machine isn't enrolled"), verdict{text: "fine"}
	if got := bad.judgedBy("/usual", "/config.yml").text; !strings.Contains(got, "judged by /usual, since this account can't read /config.yml") {
		t.Error(got)
	}
	for _, v := range []verdict{good.judgedBy("/usual", "/config.yml"), bad.judgedBy("/usual", "")} {
		if strings.Contains(v.text, "/usual") {
			t.Error(v.text)
		}
	}
}

func TestLimitsThatContradict(t *testing.T) {
	for _, tt := range []struct {
		warning, critical string
		contradict        bool
	}{
		{"14:", "7:", false}, {"7:", "7:", false}, {"5:", "7:", true},
		{"5:", "@7:", false}, {"10:20", "15:", false}, {"5", "7:", false},
	} {
		l, err := parseLimits(tt.warning, tt.critical)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.contradiction(); (got != nil) != tt.contradict {
			t.Errorf("warning %s, critical %s: %v", tt.warning, tt.critical, got)
		}
	}
}
