package enroll

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
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
)

// runHooks tells of the certificate in force, again at every run until all
// hooks have ended well. A hook that fails undoes nothing.
func (n *node) runHooks(ctx context.Context) (outcome, error) {
	if n.state.HooksDue == "" || n.pair == nil {
		return outcome{}, nil
	}
	for _, argv := range n.Hooks.PostRenew {
		output, err := n.Hooks.Run(ctx, argv, n.hookEnv(n.state.HooksDue))
		if err != nil {
			n.setback = temporary{fmt.Errorf("hooks.post_renew: %q: %w; it printed: %s", argv, err, printed(output))}
			return warns("%q failed and is run again next time: %s; it printed: %s", argv, err, printed(output))
		}
		n.note(Step{Name: "hook", Text: fmt.Sprintf("%q ended well; it printed: %s", argv, printed(output))})
	}
	n.state.HooksDue = ""
	if err := n.save(); err != nil {
		return outcome{}, err
	}
	return changed("%d told", len(n.Hooks.PostRenew))
}

// tellFailure runs the hooks of the first failure in a row.
func (n *node) tellFailure(ctx context.Context, failure error) error {
	var failed []error
	for _, argv := range n.Hooks.OnFailure {
		if output, err := n.Hooks.Run(ctx, argv, n.hookEnv(failure.Error())); err != nil {
			failed = append(failed, fmt.Errorf("hooks.on_failure: %q: %w; it printed: %s", argv, err, printed(output)))
		}
	}
	return errors.Join(failed...)
}

func printed(output string) string {
	if output == "" {
		return "nothing"
	}
	return output
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
