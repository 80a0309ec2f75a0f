package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"icinga-enroll/enroll"
)

// lines prints one line a step: what was decided and how long it took. On a
// terminal a spinner shows which step is being done.
type lines struct {
	out      io.Writer
	quiet    bool
	terminal bool
	instance instance // whose commands the lines are to name

	stop chan struct{} // ends the spinner that runs; nil: none does
	gone chan struct{} // closed when it has ended
}

func newLines(cmd *cobra.Command, quiet bool) *lines {
	out := cmd.OutOrStdout()
	f, isFile := out.(*os.File)
	return &lines{out: out, quiet: quiet, instance: instanceOf(cmd.Flags()), terminal: isFile && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"}
}

// observe is the Enroller's Observe.
func (l *lines) observe(s enroll.Step) {
	if l.quiet {
		return
	}
	l.close()
	if s.Text == "" {
		l.spin(s.Name)
		return
	}
	_, _ = fmt.Fprintf(l.out, "%s %-11s %s%s\n", l.mark(s), s.Name, l.instance.own(oneLine(s.Text)), took(s.Seconds))
}

// note prints a line that is no step.
func (l *lines) note(text string) {
	if l.quiet {
		return
	}
	l.close()
	_, _ = fmt.Fprintln(l.out, l.instance.own(oneLine(text)))
}

func (l *lines) mark(s enroll.Step) string {
	switch {
	case s.Warning:
		return "!"
	case s.Changed:
		return "+"
	default:
		return "="
	}
}

func took(seconds float64) string {
	if seconds < 0.001 {
		return ""
	}
	return fmt.Sprintf(" (%.0f ms)", seconds*1000)
}

// oneLine keeps a step on its line, whatever a server has put into it.
func oneLine(text string) string {
	return printable(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }), " "))
}

// ownLines keeps a text on its lines: those behind the first are indented, so
// that no foreign text in it looks like a line of this program's own.
func ownLines(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		if lines[i] = oneLine(line); i > 0 && !strings.HasPrefix(line, "  ") {
			lines[i] = "  " + lines[i]
		}
	}
	return strings.Join(lines, "\n")
}

// printable replaces what a terminal doesn't show but obeys: controls of eight
// bits, those of the direction of writing, and what is no UTF-8.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, text)
}

func (l *lines) spin(name string) {
	if !l.terminal {
		return
	}
	l.stop, l.gone = make(chan struct{}), make(chan struct{})
	go spin(l.out, name, l.stop, l.gone)
}

func spin(out io.Writer, name string, stop, gone chan struct{}) {
	defer close(gone)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			_, _ = fmt.Fprint(out, "\r\x1b[K")
			return
		case <-tick.C:
			_, _ = fmt.Fprintf(out, "\r%c %s …", `|/-\`[i%4], name)
		}
	}
}

// close ends the spinner. It may be called more than once.
func (l *lines) close() {
	if l.stop != nil {
		close(l.stop)
		<-l.gone
		l.stop = nil
	}
}
