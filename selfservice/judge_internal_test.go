package selfservice

import (
	"slices"
	"testing"
)

// A pattern is compiled when an error is judged, which would be too late to find
// out that it can't be.
func TestPatternsCompile(t *testing.T) {
	for _, v := range slices.Concat(selfServiceVerdicts, restVerdicts) {
		if v.message.matches("no Director's words") {
			t.Errorf("%s is what every message matches", v.message)
		}
	}
}
