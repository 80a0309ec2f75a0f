//go:build unix

package service

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/xml"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

var (
	//go:embed icinga-enroll.openrc.tmpl
	openrcTemplate string
	//go:embed icinga-enroll.sysv.tmpl
	sysvTemplate string
	//go:embed icinga-enroll.freebsd.tmpl
	freebsdTemplate string
	//go:embed icinga-enroll.plist.tmpl
	plistTemplate string
)

// scripts is a manager that reads one file for each service: a shell script
// that takes start, stop and status as its argument, unless there is another
// way of controlling and asking.
type scripts struct {
	folder   string
	suffix   string // of the file
	template string
	perm     fs.FileMode
	enabling func(ctx context.Context, name string) error // after the file was written
	disable  func(ctx context.Context, name string) error // before it is removed
	starts   func(ctx context.Context, name string) (bool, error)

	reloads     string                                                // what it calls having the service read its configuration
	controlling func(ctx context.Context, name, action string) error  // nil: the script does it
	asking      func(ctx context.Context, name string) (State, error) // nil: the script does it
}

func (s scripts) file(name string) string { return filepath.Join(s.folder, name+s.suffix) }

func (s scripts) install(ctx context.Context, c Config) error {
	undo, err := replace(s.file(c.Name), fill(s.template, c), s.perm)
	if err != nil {
		return err
	}
	if err := s.enabling(ctx, c.Name); err != nil {
		return errors.Join(err, undo())
	}
	return nil
}

func (s scripts) uninstall(ctx context.Context, name string) error {
	if err := s.disable(ctx, name); err != nil {
		return err
	}
	return remove(s.file(name))
}

func (s scripts) enable(ctx context.Context, name string) error { return s.enabling(ctx, name) }

func (s scripts) reload(ctx context.Context, name string) error {
	return s.control(ctx, name, s.reloads)
}

func (s scripts) control(ctx context.Context, name, action string) error {
	if s.controlling != nil {
		return s.controlling(ctx, name, action)
	}
	_, err := output(ctx, s.file(name), action)
	return err
}

// state goes by the exit codes of the Linux Standard Base, which OpenRC extends
// (8 starting, 16 inactive, 32 crashed) and FreeBSD doesn't know (1 for stopped).
func (s scripts) state(ctx context.Context, name string) (State, error) {
	if _, err := os.Stat(s.file(name)); errors.Is(err, fs.ErrNotExist) {
		return NotInstalled, nil
	} else if err != nil {
		return NotInstalled, err
	}
	if s.asking != nil {
		return s.asking(ctx, name)
	}
	_, err := output(ctx, s.file(name), "status")
	exit := (*exec.ExitError)(nil)
	switch {
	case err == nil:
		return Running, nil
	case !errors.As(err, &exit):
		return NotInstalled, err
	}
	switch exit.ExitCode() {
	case 1, 3, 16:
		return Stopped, nil
	case 8:
		return Running, nil
	case 32:
		return Failed, nil
	}
	return NotInstalled, err
}

func (s scripts) enabled(ctx context.Context, name string) (bool, error) { return s.starts(ctx, name) }

// fill writes the values of c into a template, each in the quotes that it needs
// there.
func fill(template string, c Config) string {
	words := make([]string, len(c.Arguments))
	items := "\t\t<string>" + quoteXML(c.Executable) + "</string>\n"
	for i, argument := range c.Arguments {
		words[i] = quoteShell(argument)
		items += "\t\t<string>" + quoteXML(argument) + "</string>\n"
	}
	arguments := strings.Join(words, " ")
	program := quoteShell(c.Executable) + " " + arguments
	return strings.NewReplacer(
		"@NAME@", c.Name,
		"@VARIABLE@", strings.NewReplacer("-", "_", ".", "_").Replace(c.Name),
		"@DESCRIPTION@", c.Description, // in a comment
		"@QUOTED@", quoteShell(c.Description),
		"@PATH@", quoteShell(c.Executable),
		// These are split into words a second time, by the eval of rc's library.
		"@ARGUMENTS@", quoteShell(arguments),
		"@DAEMON@", quoteShell("-P /var/run/"+c.Name+".pid -R 5 -S -T "+c.Name+" "+program),
		"@EXEC@", program,
		"@STRINGS@", items,
	).Replace(template)
}

func quoteShell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func quoteXML(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}
