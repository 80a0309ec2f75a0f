package enroll

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Hooks are programs that are told of a change. Each is an argument vector:
// no shell is between.
type Hooks struct {
	PostRenew [][]string // after a certificate was put in place; whoever uses the key must read it again
	OnFailure [][]string // when things begin to go wrong
	// Run runs one, with these variables added to its environment, and returns
	// what it printed.
	Run func(ctx context.Context, argv, env []string) (output string, err error)
}

// Reasons that a hook is given in ICINGA_HOOK_REASON.
const (
	reasonEnrolled = "enrolled"
	reasonRenewed  = "renewed"
	reasonRekeyed  = "rekeyed"
	reasonImported = "imported"
)

// runHooks tells of the certificate in force, each hook until it has ended well
// once. One that fails is run again by the next run, and undoes nothing.
func (n *node) runHooks(ctx context.Context) (outcome, error) {
	if n.state.HooksDue == "" || n.pair == nil {
		return outcome{}, nil
	}
	n.showCertificate()
	var failed []string
	for _, argv := range n.Hooks.PostRenew {
		name := fmt.Sprintf("%q", argv)
		if slices.Contains(n.state.HooksTold, name) {
			continue
		}
		output, err := n.Hooks.Run(ctx, argv, n.hookEnv(n.state.HooksDue))
		if err != nil {
			failed = append(failed, fmt.Sprintf("%q: %s", argv[0], err))
			n.note(Step{Name: "hook", Text: fmt.Sprintf("%s failed: %s; it printed: %s", name, err, printed(output)), Warning: true})
			continue
		}
		n.note(Step{Name: "hook", Text: fmt.Sprintf("%s ended well; it printed: %s", name, printed(output))})
		n.state.HooksTold = append(n.state.HooksTold, name)
	}
	if len(failed) == 0 {
		n.state.HooksDue, n.state.HooksTold = "", nil
	}
	if err := n.save(); err != nil {
		return outcome{}, err
	}
	if len(failed) > 0 {
		n.setBack(temporary{fmt.Errorf("hooks.post_renew: %s", strings.Join(failed, "; "))})
		return warns("failed, and run again next time: %s", strings.Join(failed, "; "))
	}
	return changed("%d told", len(n.Hooks.PostRenew))
}

// tellFailure runs the hooks of the first failure in a row.
func (n *node) tellFailure(ctx context.Context, failure string) {
	for _, argv := range n.Hooks.OnFailure {
		if output, err := n.Hooks.Run(ctx, argv, n.hookEnv(failure)); err != nil {
			n.note(Step{Name: "hook", Text: fmt.Sprintf("hooks.on_failure: %q: %s; it printed: %s", argv, err, printed(output)), Warning: true})
		}
	}
}

// printed is the end of what a hook has printed, for the terminal and the log
// only: nobody knows what is in it.
func printed(output string) string {
	const most = 300
	switch {
	case output == "":
		return "nothing"
	case len(output) > most:
		return "… " + strings.ToValidUTF8(output[len(output)-most:], "")
	default:
		return output
	}
}

func (n *node) hookEnv(reason string) []string {
	env := []string{
		"ICINGA_HOOK_CN=" + n.name,
		"ICINGA_HOOK_CERT=" + n.certFile(),
		"ICINGA_HOOK_KEY=" + filepath.Join(n.CertsDir, n.name+".key"),
		"ICINGA_HOOK_CA=" + filepath.Join(n.CertsDir, caFile),
		"ICINGA_HOOK_REASON=" + reason,
	}
	if n.pair != nil {
		env = append(env, "ICINGA_HOOK_NOT_AFTER="+n.pair.cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return env
}
