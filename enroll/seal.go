package enroll

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"icinga-enroll/platform"
	"icinga-enroll/platform/agent"
)

// sealedFile says that this machine is an image that has not run yet.
const sealedFile = "sealed"

// Seal makes this machine fit to be an image: it removes the identity (keys,
// certificate, host key, request, state, status, what is in quarantine), makes
// the Icinga agent's files what they were before this program wrote them, and
// leaves a mark. The configuration stays. No server is asked: a host that was
// registered stays in the Director. A crash between any two instructions is
// answered by running Seal again.
func (e *Enroller) Seal(ctx context.Context) error {
	n, release, err := e.openAlone(ctx)
	if err != nil {
		return err
	}
	defer release()
	left := n.inherited() // before this writes a state itself
	return n.walk(ctx, []step{
		{name: "state", do: n.load},
		{name: "agent", do: n.unmakeAgent},
		{name: "wipe", do: func(context.Context) (outcome, error) { return n.wipeImage(left) }},
		{name: "sealed", do: n.markSealed},
	})
}

// unmakeAgent takes the node's name out of the Icinga agent's files. It comes
// first: where it can't be done, nothing else is.
func (n *node) unmakeAgent(ctx context.Context) (outcome, error) {
	a, err := n.agent(ctx)
	if errors.Is(err, errOther) {
		return outcome{}, nil
	}
	if err != nil && n.Agent.Manage == ManageNever {
		return outcome{}, nil
	}
	if err != nil {
		return outcome{}, &AgentError{adviseInstall(err)}
	}
	if a.Runs(ctx) {
		return outcome{}, &AgentError{errors.New("the Icinga agent runs, and would write down again what is removed: stop it first (systemctl stop icinga2)")}
	}
	if n.state.Name != "" {
		if err := n.staysNamed(a); err != nil {
			return outcome{}, &AgentError{err}
		}
	}
	undone, err := a.Unmake(n.state.Agent.Written)
	if err = errors.Join(err, a.Sweep()); err != nil {
		return outcome{}, &AgentError{err}
	}
	if err := n.forgetReceived(a, "zones", "zones-stage", "packages", "log"); err != nil {
		return outcome{}, &AgentError{err}
	}
	n.state.Agent = AgentState{Installed: n.state.Agent.Installed}
	if len(undone) == 0 {
		return outcome{}, nil
	}
	return changed("as it was before icinga-enroll wrote it: %s", strings.Join(undone, ", "))
}

// staysNamed says which files would have the node's name still.
func (n *node) staysNamed(a agent.Agent) error {
	if named := a.Mentions(n.state.Name, n.state.Agent.Written); len(named) > 0 {
		return fmt.Errorf("%s in %s has the name %s and isn't as icinga-enroll has written it, so nothing was removed: %s", strings.Join(named, ", "), a.ConfigDir, n.state.Name, takeOut(a, named...))
	}
	if others := a.Others(n.state.Name); len(others) > 0 {
		return fmt.Errorf("%s in %s has the name %s, so nothing was removed: take the name out, or remove what nobody needs any more", strings.Join(others, ", "), a.ConfigDir, n.state.Name)
	}
	return nil
}

// takeOut says what to do with files that somebody has changed, or of which nothing is
// known any more, as after a purge of the package.
func takeOut(a agent.Agent, files ...string) string {
	advice := "take the name out, or put the package's file there"
	if kept := a.Packaged(files); len(kept) > 0 {
		advice += " (beside it: " + strings.Join(kept, ", ") + ")"
	}
	return advice
}

// wipeImage removes the identity; left are the files of one that were there before.
func (n *node) wipeImage(left []string) (outcome, error) {
	n.name = n.state.Name
	had := n.state.isSomebody()
	if _, err := n.wipeCerts(); err != nil {
		return outcome{}, err
	}
	if err := errors.Join(n.certs.Remove(ticketFile), n.dir.RemoveAll(quarantineDir), n.dir.RemoveAll(stageFolder), removeFiles(n.dir, append([]string{leftFile}, stateFiles...)), n.dir.Sweep()); err != nil {
		return outcome{}, err
	}
	if !had && len(left) == 0 {
		return says("nothing to do")
	}
	if !had {
		return changed("gone, of a run that hasn't registered: %s", strings.Join(left, ", "))
	}
	return changed("key, certificate, host key, state, status and quarantine are gone; the configuration stays, and what the Director knows of %s", n.name)
}

func (n *node) markSealed(context.Context) (outcome, error) {
	date := n.Now().UTC().Format(time.RFC3339)
	if err := n.dir.WriteFile(sealedFile, []byte(date+"\n"), 0o644, platform.Owner{}); err != nil {
		return outcome{}, err
	}
	return changed("the next run enrols as the machine that it is on then")
}

// IsSealed reports whether the machine with that state folder is an image that
// has not run yet. Where this account may not look there, it isn't.
func IsSealed(stateDir string) bool {
	dir, err := platform.OpenDir(stateDir)
	if err != nil {
		return false
	}
	defer func() { _ = dir.Close() }()
	_, _, err = dir.Attributes(sealedFile)
	return err == nil
}

// unseal tells of the first run of an image.
func (n *node) unseal(context.Context) (outcome, error) {
	date, err := n.dir.ReadFile(sealedFile)
	if errors.Is(err, fs.ErrNotExist) {
		return outcome{}, nil
	}
	if err == nil {
		err = n.dir.Remove(sealedFile)
	}
	if err != nil {
		return outcome{}, err
	}
	return changed("the first run of the image that was sealed on %s", strings.TrimSpace(string(date)))
}

// Unfit lists what keeps this machine from being an image: what every machine
// made of it would have in common. It changes nothing.
func (e *Enroller) Unfit(ctx context.Context) (reasons []string, err error) {
	n, err := e.look()
	if err != nil {
		return nil, err
	}
	defer n.close()
	unfit := func(format string, a ...any) { reasons = append(reasons, fmt.Sprintf(format, a...)) }
	if n.Name != "" && !n.APIClient { // that has no other name to go by
		unfit("host.name is %s: every machine made of this image would be that; take it out of the configuration", n.Name)
	}
	if !n.HostKey.IsZero() {
		unfit("director.host_key is one host's: take it out of the configuration")
	}
	if n.keyForgotten() {
		unfit("%s has no template key any more (director.forget_template_key), and no machine made of this image could register: write it into the file again", n.TemplateKeyFile)
	}
	if n.dir != nil {
		if running, err := n.dir.Marked(runningFile); err == nil && running {
			unfit("icinga-enroll run is at work here: icinga-enroll service stop")
		}
	}
	for _, file := range n.inherited() {
		unfit("%s is this machine's: icinga-enroll seal removes it", file)
	}
	own, others := n.secrets()
	for _, file := range own {
		unfit("%s is a secret of this machine's: icinga-enroll seal removes it", file)
	}
	for _, file := range others {
		unfit("%s is a secret of this machine's: remove it", file)
	}
	for _, name := range n.instances() {
		unfit("the instance %s is one of this machine's: icinga-enroll --instance %[1]s seal", name)
	}
	return append(reasons, n.unfitAgent(ctx)...), nil
}

// unfitAgent lists what the agent's files have of this machine.
func (n *node) unfitAgent(ctx context.Context) (reasons []string) {
	a, err := n.agent(ctx)
	if err != nil {
		return nil // it isn't this node's agent
	}
	for _, file := range a.Leftovers() {
		reasons = append(reasons, fmt.Sprintf("%s was left by a run that was killed: icinga-enroll seal removes it", filepath.Join(a.ConfigDir, file)))
	}
	for _, name := range n.ownNames(ctx) {
		edited := a.Mentions(name, n.state.Agent.Written)
		for _, file := range a.Mentions(name, nil) {
			what := ": icinga-enroll seal takes it out"
			if slices.Contains(edited, file) {
				what = " and isn't as icinga-enroll has written it: " + takeOut(a, file)
			}
			reasons = append(reasons, fmt.Sprintf("%s has the name %s%s", filepath.Join(a.ConfigDir, file), name, what))
		}
		for _, file := range a.Others(name) {
			reasons = append(reasons, fmt.Sprintf("%s has the name %s, which icinga-enroll seal takes out of no such file: do that, or remove what nobody needs any more", filepath.Join(a.ConfigDir, file), name))
		}
	}
	return reasons
}

// ownNames are those that this machine may be called in the agent's files.
func (n *node) ownNames(ctx context.Context) (names []string) {
	fqdn, _ := n.Machine.FQDN(ctx) // without one it isn't in a file
	for _, name := range []string{n.state.Name, fqdn} {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// instances are those with a state below this one's folder.
func (n *node) instances() (names []string) {
	found, _ := filepath.Glob(filepath.Join(n.StateDir, "instances", "*", stateFile)) // a valid pattern
	for _, file := range found {
		names = append(names, filepath.Base(filepath.Dir(file)))
	}
	return names
}

// inherited are the files of an identity in the state folder, also what a run has
// left that was killed.
func (n *node) inherited() (files []string) {
	if n.dir == nil {
		return nil
	}
	half, _ := n.dir.Leftovers()
	for _, name := range slices.Concat([]string{quarantineDir, leftFile, stageFolder}, stateFiles, half) {
		if _, _, err := n.dir.Attributes(name); err == nil {
			files = append(files, filepath.Join(n.StateDir, name))
		}
	}
	return files
}

// secrets are those in the certs folder and below it, whoever made them: own are what Seal
// removes, others what it can't know to be needed by nobody.
func (n *node) secrets() (own, others []string) {
	if n.certs == nil {
		return nil, nil
	}
	half, _ := n.certs.Leftovers()
	for _, name := range half {
		own = append(own, filepath.Join(n.CertsDir, name))
	}
	ours, _ := n.ownFiles(n.state.Name)
	ours = append(ours, ticketFile)
	for _, name := range n.certs.Files() {
		file := filepath.Join(n.CertsDir, filepath.FromSlash(name))
		switch {
		case !n.isSecret(name):
		case slices.Contains(ours, name):
			own = append(own, file)
		default:
			others = append(others, file)
		}
	}
	return own, others
}

// privateKey begins a key in any form of PEM, also one that only its TPM can use.
var privateKey = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----`)

// isSecret goes by a file's name, and by what is in it: bundles have any name. What
// is larger than any key is none.
func (n *node) isSecret(name string) bool {
	if name == ticketFile || strings.Contains(path.Base(name), ".key.") || slices.Contains([]string{".key", ".p12", ".pfx"}, path.Ext(name)) {
		return true
	}
	dir, err := platform.OpenDir(filepath.Join(n.CertsDir, filepath.FromSlash(path.Dir(name))))
	if err != nil {
		return false
	}
	defer func() { _ = dir.Close() }()
	data, err := dir.ReadFile(path.Base(name))
	return err == nil && privateKey.Match(data)
}
