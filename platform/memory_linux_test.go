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
		t.Errorf("%d KiB of the program's file were resident before, %d after", before, after)
	}
}

// resident returns the KiB of files that are mapped and in memory.
func resident(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(status), "RssFile:")
	if !found {
		t.Fatal("the kernel doesn't tell RssFile")
	}
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib
}
