package platform

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestReturnMemoryMakesTheProcessSmaller(t *testing.T) {
	before := resident(t)
	ReturnMemory()
	after := resident(t)
	if after >= before {
		t.Errorf("%d KiB were resident before, %d after", before, after)
	}
}

// resident returns the KiB of this process that are in memory.
func resident(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(status), "VmRSS:")
	if !found {
		t.Fatal("the kernel does not tell VmRSS")
	}
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib
}
