package fleet

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

var (
	full    = flag.Bool("full", false, "with the numbers of nodes that the published results have")
	results = flag.String("results", "", "folder to write the tables and plots to")
)

func small(size, whole int) int {
	if *full {
		return whole
	}
	return size
}

// table is one in Markdown.
type table struct {
	rows  [][]string
	notes []string // below it
}

func newTable(head ...string) *table { return &table{rows: [][]string{head}} }

func (b *table) note(format string, a ...any) { b.notes = append(b.notes, fmt.Sprintf(format, a...)) }

func (b *table) add(cells ...any) {
	var row []string
	for _, c := range cells {
		row = append(row, cell(c))
	}
	b.rows = append(b.rows, row)
}

type percent float64

func cell(c any) string {
	switch c := c.(type) {
	case float64:
		return fmt.Sprintf("%.2f", c)
	case percent:
		return fmt.Sprintf("%.0f %%", float64(c)*100)
	default:
		return fmt.Sprint(c)
	}
}

func (b *table) String() string {
	var text strings.Builder
	for i, row := range b.rows {
		fmt.Fprintf(&text, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(&text, "|%s\n", strings.Repeat("---|", len(row)))
		}
	}
	for _, note := range b.notes {
		fmt.Fprintf(&text, "\n%s\n", note)
	}
	return text.String()
}

// publish logs the table, and writes it where that was asked for.
func publish(t *testing.T, name, title string, b *table) {
	t.Helper()
	t.Logf("%s\n%s", title, b)
	if *results == "" {
		return
	}
	text := fmt.Sprintf("# %s\n\n%s\n%s", title, surroundings(), b)
	if err := os.WriteFile(filepath.Join(*results, name+".md"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// draw writes the picture where that was asked for.
func draw(t *testing.T, name string, p picture) {
	t.Helper()
	if *results == "" {
		return
	}
	if err := p.save(filepath.Join(*results, name+".svg")); err != nil {
		t.Fatal(err)
	}
}

// surroundings say where and when.
func surroundings() string {
	return fmt.Sprintf("%s; %d × %s, Linux %s, %s; commit %s; made by %s.\n",
		time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), cpuModel(), output("uname", "-r"), runtime.Version(), output("git", "rev-parse", "--short", "HEAD"), form())
}

func form() string {
	if *full {
		return "`make fleet`"
	}
	return "the small form of `make fleet`"
}

func cpuModel() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	_, after, _ := bytes.Cut(info, []byte("model name"))
	line, _, _ := strings.Cut(string(after), "\n")
	return strings.Trim(line, " :\t")
}

func output(name string, arg ...string) string {
	out, err := exec.Command(name, arg...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
