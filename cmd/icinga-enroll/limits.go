package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// limits are the thresholds of a monitoring plugin.
type limits struct{ warning, critical span }

// span is a range of the Monitoring Plugins guidelines: "10" is 0 to 10, "10:"
// at least 10, "~:10" at most 10, "10:20" between, "@10:20" not between. A value
// that is not in it raises the alarm.
type span struct {
	text     string
	from, to float64
	inverted bool
}

// maxDays is more than any certificate's lifetime.
const maxDays = 1e6

var errRange = errors.New("no number of days")

func isNumber(days float64) bool { return math.IsInf(days, 0) || math.Abs(days) <= maxDays }

// contradiction says so where a warning can't ever be raised, as far as that is
// plain to see: with two least values, such as 7: and 14:.
func (l limits) contradiction() error {
	w, c := l.warning, l.critical
	if w.inverted || c.inverted || !math.IsInf(w.to, 1) || !math.IsInf(c.to, 1) || w.from >= c.from {
		return nil
	}
	return fmt.Errorf("--warning %s never warns: --critical %s is raised before; exchange them", w.text, c.text)
}

func parseLimits(warning, critical string) (l limits, err error) {
	if l.warning, err = parseSpan(warning); err != nil {
		return l, fmt.Errorf("--warning: %w", err)
	}
	if l.critical, err = parseSpan(critical); err != nil {
		return l, fmt.Errorf("--critical: %w", err)
	}
	return l, nil
}

func parseSpan(text string) (span, error) {
	s := span{text: text, to: math.Inf(1)}
	rest, inverted := strings.CutPrefix(text, "@")
	s.inverted = inverted
	from, to, hasFrom := strings.Cut(rest, ":")
	if !hasFrom {
		from, to = "0", rest
	}
	var errFrom, errTo error
	if from == "~" {
		s.from = math.Inf(-1)
	} else {
		s.from, errFrom = strconv.ParseFloat(from, 64)
	}
	if to != "" {
		s.to, errTo = strconv.ParseFloat(to, 64)
	}
	if !isNumber(s.from) || !isNumber(s.to) || strings.ContainsAny(strings.ToLower(text), "infxp_") {
		errFrom = errRange // also what Go takes for numbers, and people don't
	}
	if errFrom != nil || errTo != nil || s.from > s.to || rest == "" {
		return s, fmt.Errorf("%q is no range; these are: 10, 10:, ~:10, 10:20, @10:20", text)
	}
	return s, nil
}

func (s span) holds(value float64) bool {
	return (value >= s.from && value <= s.to) != s.inverted
}

// state of a value: critical is looked at first.
func (l limits) state(value int) int {
	switch v := float64(value); {
	case !l.critical.holds(v):
		return stateCritical
	case !l.warning.holds(v):
		return stateWarning
	default:
		return stateOK
	}
}
