//go:build !failpoints

package platform

import (
	"io"
	"os"
)

// attempt does one thing to the file system. With the build tag failpoints this
// is where the crash campaign ends the process, or has what it does fail.
func attempt(_, _ string, do func() error) error { return do() }

// contents is where what is written to f goes, in the same way.
func contents(f *os.File) io.Writer { return f }
