package agent

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"icinga-enroll/platform"
)

// Check has the agent validate the configuration that changes make, in a folder
// of its own: a reload by somebody else must never meet half of them. folder is
// made anew, and removed at the end; only this program may write to the one
// around it.
func (a Agent) Check(ctx context.Context, changes []Change, folder string) (err error) {
	clear := func() error {
		return inFolder(filepath.Dir(folder), filepath.Base(folder), (*platform.Dir).RemoveAll)
	}
	if err := clear(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clear()) }()
	if err := a.stage(changes, folder); err != nil {
		return fmt.Errorf("the agent's new configuration can't be tried: %w", err)
	}
	argv := append(append([]string{}, a.ValidateCommand...), "-D", "Configuration.ConfigDir="+folder)
	out, err := a.Run(ctx, argv, nil)
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("the agent's new configuration can't be validated: %w", err)
	}
	if err != nil {
		return &Rejected{Command: strings.Join(argv, " "), Output: complaints(out), Err: err}
	}
	return nil
}

// Rejected is a configuration that the agent doesn't take.
type Rejected struct {
	Command string
	Output  string // the agent's own words
	Err     error
}

func (r *Rejected) Error() string {
	return fmt.Sprintf("the agent doesn't take the new configuration, so the old one stays (%s: %s):\n%s", r.Command, r.Err, r.Output)
}

func (r *Rejected) Unwrap() error { return r.Err }

// complaints are the critical lines of the agent's output, or all of it.
func complaints(out string) string {
	var critical []string
	for line := range strings.Lines(out) {
		if strings.Contains(line, "critical/") || strings.HasPrefix(line, "Error:") {
			critical = append(critical, "  "+strings.TrimSpace(line))
		}
	}
	if len(critical) == 0 {
		return "  " + strings.ReplaceAll(strings.TrimSpace(out), "\n", "\n  ")
	}
	return strings.Join(critical, "\n")
}

// replaced are the folders that files are written in. Their entries are staged
// one by one.
var replaced = []string{".", "features-available", "features-enabled"}

// stage fills folder with links to all that stays, and with the changes.
func (a Agent) stage(changes []Change, folder string) error {
	staged := Agent{ConfigDir: folder}
	owner, err := a.account()
	if err != nil {
		return err
	}
	for _, sub := range replaced {
		if err := a.mirror(staged, sub, owner); err != nil {
			return err
		}
	}
	for _, c := range changes {
		if err := staged.in(c.New.Name, c.New.put); err != nil {
			return err
		}
	}
	return nil
}

// account is the agent's: its data is its own.
func (a Agent) account() (platform.Owner, error) {
	data, err := platform.OpenDir(a.DataDir)
	if err != nil {
		return platform.Owner{}, err
	}
	defer func() { _ = data.Close() }()
	return data.Owner()
}

// stagedTarget is where the stage's link for a file leads: to the file, but an
// enabled feature's to the one of the stage, which may be changed.
func (a Agent) stagedTarget(name string) (string, error) {
	file := filepath.Join(a.ConfigDir, filepath.FromSlash(name))
	if path.Dir(name) != "features-enabled" {
		return filepath.Abs(file)
	}
	f, err := a.read(name)
	if available := "features-available/" + path.Base(filepath.ToSlash(f.Link)); err == nil && a.leadsTo(f, available) {
		return "../" + available, nil
	}
	if err != nil {
		return "", err
	}
	return filepath.Abs(file)
}

// mirror makes a folder of the stage, readable for the agent, with a link to
// each entry of the folder that it stands for.
func (a Agent) mirror(staged Agent, sub string, owner platform.Owner) error {
	from, err := platform.OpenDir(filepath.Join(a.ConfigDir, sub))
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	to, err := platform.MakeDir(filepath.Join(staged.ConfigDir, sub), 0o750)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }()
	names, err := from.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if slices.Contains(replaced, name) {
			continue
		}
		target, err := a.stagedTarget(path.Join(sub, name))
		if err != nil {
			return err
		}
		if err := stand(to, name, target); err != nil {
			return err
		}
	}
	return to.Give(owner)
}
