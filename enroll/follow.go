package enroll

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"

	"icinga-enroll/pki"
	"icinga-enroll/platform/agent"
	"icinga-enroll/selfservice"
)

const (
	askEvery   = 24 * time.Hour   // the mean between two looks at the Director's parameters
	askAgain   = time.Hour        // the mean until the next look where the Director was away
	trialLasts = 10 * time.Minute // how long an agent may take to connect to new parents
	trialPoll  = time.Minute      // between two looks whether it has
	tryTPM     = time.Hour        // between two looks whether the TPM still uses the key
)

// followState is what is known of the Director's changes of mind. The Director
// shows an edit before it is deployed: so it is reported, and only followed,
// where that is wanted, as long as the agent gets along with it.
type followState struct {
	AskAt time.Time `json:"ask_at,omitzero"` // when to look again
	News  string    `json:"news,omitempty"`  // what has changed and isn't followed
	Trial *trial    `json:"trial,omitempty"` // it is being followed, to see whether the agent connects

	Refused   *selfservice.Parameters `json:"refused,omitempty"` // what was tried, and put back
	RefusedAt time.Time               `json:"refused_at,omitzero"`
}

type trial struct {
	Began time.Time `json:"began"`
}

// lookAtDirector asks once a day, in the daemon, whether the Director tells
// this host something new. A Director that is away is asked again later: that
// is no failure of this node's, but to who has asked for it.
func (n *node) lookAtDirector(ctx context.Context) (outcome, error) {
	f := &n.state.Agent.Follow
	due := n.Daemon && !n.Now().Before(f.AskAt) || (n.Look || n.Apply) && !n.asked
	if n.Apply && n.Agent.Parents == nil && !n.registered() {
		return outcome{}, errors.New("the Director can't be asked for this node's parents without a host API key, which isn't here: drop this host's self-service API key in the Director, then icinga-enroll once --director-reregister; or set agent.zone and agent.parents")
	}
	if !due || n.Director == nil || !n.registered() || n.pair == nil {
		return outcome{}, nil
	}
	told, err := n.Director.Parameters(ctx, n.hostKey())
	err = n.heard(err)
	if errors.Is(err, selfservice.ErrKeyRejected) && n.mayRegisterAgain(ctx) {
		return n.registerAgain(ctx)
	}
	switch {
	case err == nil:
		_, err = n.useParameters(told)
		return outcome{}, err
	case n.Apply || !IsTemporary(err):
		return outcome{}, errors.Join(err, n.askIn(askEvery))
	case n.isAwaited():
		return outcome{}, errors.Join(err, n.askIn(askAgain))
	}
	return outcome{}, n.askIn(askAgain)
}

// LookError is why the Director didn't say what it was asked for by somebody who waits
// for that. The certificate is in place.
type LookError struct{ err error }

func (e *LookError) Error() string { return e.err.Error() }

// Unwrap returns what the Director said, and whether that may pass.
func (e *LookError) Unwrap() error { return e.err }

// isAwaited reports whether somebody waits for what the Director says.
func (n *node) isAwaited() bool { return n.Look && !n.Daemon }

// awaited marks what fails of do where somebody waits for it.
func (n *node) awaited(do func(context.Context) (outcome, error)) func(context.Context) (outcome, error) {
	return func(ctx context.Context) (outcome, error) {
		out, err := do(ctx)
		if err != nil && n.isAwaited() {
			err = &LookError{err}
		}
		return out, err
	}
}

// lookAgain is when there is something to look at besides the certificate.
func (n *node) lookAgain() time.Time {
	f := n.state.Agent.Follow
	switch {
	case f.Trial != nil:
		return n.Now().Add(trialPoll)
	case n.Daemon && n.Director != nil && n.registered():
		return f.AskAt
	case n.pair != nil && pki.InTPM(n.pair.key):
		return n.Now().Add(tryTPM)
	}
	return time.Time{}
}

// askIn spreads the looks of many nodes that have begun at the same time.
func (n *node) askIn(mean time.Duration) error {
	n.state.Agent.Follow.AskAt = n.Now().UTC().Add(mean*3/4 + rand.N(mean/2)) //nolint:gosec // not a secret
	return n.save()
}

// decideParameters returns what the agent is to be made from: what it is made
// from now, unless there is something new that is to be followed.
func (n *node) decideParameters(ctx context.Context) (*selfservice.Parameters, error) {
	told, applied, f := n.parameters(), n.state.Agent.Applied, &n.state.Agent.Follow
	if told == nil || len(told.Parents) == 0 {
		return applied, n.noParents()
	}
	news := ""
	if applied != nil {
		news = difference(*applied, *told)
	}
	static := n.Agent.Parents != nil
	switch {
	case applied == nil || n.Apply && news == "":
		return told, errors.Join(n.settleNews(""), n.resolve(ctx, *told))
	case n.Apply || static && news != "":
		if err := n.reachParents(ctx, *told); err != nil && movesParents(*applied, *told) {
			return nil, temporary{fmt.Errorf("the agent stays as it is, since none of its new parents answers as one of the pinned CA (%s): %w", news, err)}
		}
		return told, errors.Join(n.settleNews(""), n.resolve(ctx, *told))
	case news == "":
		return applied, n.settleNews("")
	case !n.Agent.Follow:
		return applied, n.settleNews(news + ": not followed (agent.follow is false); \"icinga-enroll agent apply\" does it now")
	case !n.Daemon:
		return applied, n.settleNews(news + ": the service follows it; \"icinga-enroll agent apply\" does it now")
	case f.Refused != nil && difference(*f.Refused, *told) == "" && n.Now().Before(f.RefusedAt.Add(askEvery)):
		return applied, n.settleNews(news + ": was tried, but the agent had no connection after " + trialLasts.String() + "; tried again a day later. Is it deployed?")
	}
	if err := n.reachParents(ctx, *told); err != nil {
		return applied, n.settleNews(news + ": not followed, no new parent answers: " + err.Error())
	}
	n.trying = &trial{Began: n.Now().UTC()}
	return told, errors.Join(n.settleNews(""), n.resolve(ctx, *told))
}

// noParents is an error only where somebody has said that the agent is to be
// set up.
func (n *node) noParents() error {
	if n.Agent.Manage == ManageAlways && n.state.Agent.Applied == nil {
		return errors.New("nothing says which parents the agent has: the Director names none (is the zone empty? has this node a host key?); set agent.zone and agent.parents")
	}
	return nil
}

func (n *node) settleNews(news string) error {
	same := n.state.Agent.Follow.News == news
	if news != "" && (!same || !n.Daemon) {
		n.note(Step{Name: "parameters", Text: "the Director now says: " + news, Warning: true})
	}
	if same {
		return nil
	}
	n.state.Agent.Follow.News = news
	return n.save()
}

// resolve looks up the parents' addresses where the Director asks for that. They
// are the state's once p is applied.
func (n *node) resolve(ctx context.Context, p selfservice.Parameters) error {
	n.addresses = map[string]string{}
	if !p.ResolveParentHost {
		return nil
	}
	for _, parent := range p.Parents {
		if parent.Host == "" {
			continue
		}
		address, err := n.Machine.Resolve(ctx, parent.Host)
		if err != nil {
			return temporary{fmt.Errorf("the Director wants the address of the parent %s in the agent's configuration (resolve_parent_host): %w", parent.Name, err)}
		}
		n.addresses[parent.Host] = address
	}
	return nil
}

// reachParents says why none of the parents to which the agent would connect
// would do. Where they connect to the agent there is nothing to try.
func (n *node) reachParents(ctx context.Context, p selfservice.Parameters) error {
	var failed failures
	for _, parent := range n.setup(p).Parents {
		if parent.Host == "" {
			return nil
		}
		if _, err := n.authority().Probe(ctx, pki.Endpoint{Address: address(parent.Name, parent.Host, parent.Port), Names: parentNames(p)}); err == nil {
			return nil
		} else {
			failed = append(failed, err)
		}
	}
	return failed
}

// judgeTrial ends a trial: well, once the agent is connected, or by putting back
// what was before.
func (n *node) judgeTrial(ctx context.Context, a agent.Agent) (outcome, error) {
	f := &n.state.Agent.Follow
	if n.state.Agent.ReloadDue {
		return n.apply(ctx, a, *n.state.Agent.Applied)
	}
	setup := n.setup(*n.state.Agent.Applied)
	state := n.connection(ctx, a, setup, f.Trial.Began)
	if state.Connected {
		f.Trial, f.Refused, n.state.Agent.Undo = nil, nil, nil
		if err := n.save(); err != nil {
			return outcome{}, err
		}
		return changed("followed the Director: %s", state.Text)
	}
	if n.Now().Before(f.Trial.Began.Add(trialLasts)) {
		return outcome{}, nil
	}
	f.Refused, f.RefusedAt = n.state.Agent.Applied, n.Now().UTC()
	return outcome{}, n.takeBack(ctx, a, setup, n.runs(ctx, a, setup), fmt.Errorf("the agent had no connection %s after it followed the Director (%s), so the old configuration is back: %s",
		trialLasts, difference(*n.state.Agent.Undo.Applied, *f.Refused), state.Text))
}

// difference says what in b is new to an agent that was made from a.
func difference(a, b selfservice.Parameters) string {
	var parts []string
	add := func(what string, from, to any) {
		if !reflect.DeepEqual(from, to) {
			parts = append(parts, fmt.Sprintf("%s %v, until now %v", what, to, from))
		}
	}
	add("zone", a.ParentZone, b.ParentZone)
	add("parents", describeParents(a.Parents), describeParents(b.Parents))
	add("global zones", globalZones(a), globalZones(b))
	add("accept_config", a.AcceptConfig, b.AcceptConfig)
	add("port", a.ListenPort, b.ListenPort)
	add("resolve_parent_host", a.ResolveParentHost, b.ResolveParentHost)
	return strings.Join(parts, "; ")
}

// movesParents reports whether the agent gets other parents with b than with a.
func movesParents(a, b selfservice.Parameters) bool {
	return a.ParentZone != b.ParentZone || !slices.Equal(describeParents(a.Parents), describeParents(b.Parents))
}

// globalZones are those that the agent has besides the packages'.
func globalZones(p selfservice.Parameters) []string {
	zones := slices.DeleteFunc(slices.Clone(p.GlobalZones), func(z string) bool { return slices.Contains(packagedZones, z) })
	slices.Sort(zones)
	return slices.Compact(slices.Clip(append([]string{}, zones...)))
}

func describeParents(parents []selfservice.Parent) []string {
	var all []string
	for _, p := range parents {
		all = append(all, strings.TrimSuffix(p.Name+"@"+address("", p.Host, p.Port), "@:5665"))
	}
	return all
}
