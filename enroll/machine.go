package enroll

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"icinga-enroll/platform/machine"
)

// ErrClone says that the state here was made on another machine: this one is a
// copy of it, or is taken for one.
var ErrClone = errors.New("clone detected")

// ClonePolicy says what a copy of an enrolled machine does.
type ClonePolicy string

// What a copy may do. Under its original's name it never does anything.
const (
	CloneReenroll ClonePolicy = "reenroll" // it enrols as itself
	CloneStop     ClonePolicy = "stop"     // it waits for somebody
)

// boundMachine is the machine that a state was made on. A machine-id is not to
// be shown around (machine-id(5)): what is kept are salted sums.
type boundMachine struct {
	Kind      machine.Kind `json:"kind"`
	Salt      string       `json:"salt"`
	MachineID string       `json:"machine_id,omitempty"`
	Hardware  string       `json:"hardware,omitempty"`
	Instance  string       `json:"instance,omitempty"`
	Chip      string       `json:"tpm,omitempty"`
}

func newBoundMachine(id machine.Identity) *boundMachine {
	salt := make([]byte, 8)
	_, _ = rand.Read(salt) // never fails
	return sealMachine(id, hex.EncodeToString(salt))
}

func sealMachine(id machine.Identity, salt string) *boundMachine {
	sum := func(text string) string {
		if text == "" {
			return ""
		}
		mac := hmac.New(sha256.New, []byte("icinga-enroll "+salt))
		mac.Write([]byte(text))
		return hex.EncodeToString(mac.Sum(nil))
	}
	return &boundMachine{id.Kind, salt, sum(id.MachineID), sum(id.Hardware), sum(id.Instance), sum(id.Chip)}
}

// The identifiers, as people know them.
const (
	idMachine  = "machine-id"
	idHardware = "hardware UUID"
	idInstance = "cloud instance"
	idChip     = "TPM"
)

// compare returns the identifiers that both machines have, and those of them
// that differ.
func (b *boundMachine) compare(now *boundMachine) (both, differ []string) {
	for _, id := range []struct{ name, was, is string }{
		{idMachine, b.MachineID, now.MachineID}, {idHardware, b.Hardware, now.Hardware}, {idInstance, b.Instance, now.Instance}, {idChip, b.Chip, now.Chip},
	} {
		if id.was == "" || id.is == "" {
			continue
		}
		both = append(both, id.name)
		if id.was != id.is {
			differ = append(differ, id.name)
		}
	}
	return both, differ
}

// isAnother decides whether now is another machine than b.
//
// What decides is what a copy can't keep. A container has nothing but its
// machine-id, and what a container was is known by nothing else. A virtual
// machine's copy keeps the machine-id and gets another UUID; where the
// hypervisor gives none, its cloud or at last the machine-id tell, and the TPM,
// though only that it is another: a copy may have been given that, too. Of a physical
// machine a single part may be new (a mainboard, with its UUID and its TPM, or an
// installation): only two make it another. What isn't known of either tells nothing.
func (b *boundMachine) isAnother(now *boundMachine) bool {
	both, differ := b.compare(now)
	switch {
	case b.Kind == machine.Container || now.Kind == machine.Container:
		return slices.Contains(differ, idMachine)
	case now.Kind == machine.Physical:
		return parts(differ) >= 2
	}
	for _, decisive := range []string{idHardware, idInstance} {
		if slices.Contains(both, decisive) {
			return slices.Contains(differ, decisive)
		}
	}
	return slices.Contains(differ, idMachine) || slices.Contains(differ, idChip)
}

// parts counts what has changed of a physical machine.
func parts(differ []string) int {
	if slices.Contains(differ, idHardware) && slices.Contains(differ, idChip) {
		return len(differ) - 1
	}
	return len(differ)
}

// isSomebody reports whether there is anything in the state that a copy must not use.
func (s *State) isSomebody() bool {
	return s.Name != "" || s.HostKey != "" || s.RegisterSent != nil || s.Pending != nil
}

// bearer is the name that the state's machine has, or has asked for.
func (s *State) bearer() string {
	if s.Name == "" && s.RegisterSent != nil {
		return s.RegisterSent.Name
	}
	return s.Name
}

// sameMachine binds the state to this machine, or refuses with [ErrClone] one
// that is another's. A machine of which a part is new is bound anew.
func (n *node) sameMachine(context.Context) (outcome, error) {
	if n.Machine.Identify == nil {
		return outcome{}, nil
	}
	is := n.Machine.Identify()
	was := n.state.Machine
	if was == nil || !n.state.isSomebody() {
		return outcome{}, n.bind(newBoundMachine(is))
	}
	now := sealMachine(is, was.Salt)
	_, differ := was.compare(now)
	switch {
	case was.isUnknown() && !now.isUnknown() && !n.APIClient && n.isCalledOtherwise(): // a client isn't named after its machine
		return outcome{}, n.cloned("hostname")
	case was.isAnother(now):
		return outcome{}, n.cloned(differ...)
	}
	if *was == *now {
		return outcome{}, nil
	}
	if err := n.bind(now.orAsBefore(was)); err != nil || len(differ) == 0 {
		return outcome{}, err
	}
	return warns("the %s is another than before; taken for the same machine with a new part", strings.Join(differ, " and the "))
}

// orAsBefore keeps what was known before and isn't now: a file that another
// account may not read, a machine-id that isn't set yet.
func (b *boundMachine) orAsBefore(was *boundMachine) *boundMachine {
	merged := *b
	for _, id := range []struct {
		is  *string
		was string
	}{{&merged.MachineID, was.MachineID}, {&merged.Hardware, was.Hardware}, {&merged.Instance, was.Instance}, {&merged.Chip, was.Chip}} {
		if *id.is == "" {
			*id.is = id.was
		}
	}
	return &merged
}

// bind is written down with the next that is: a state that holds nothing needs
// no owner.
func (n *node) bind(b *boundMachine) error {
	n.state.Machine = b
	if n.readOnly || !n.state.isSomebody() {
		return nil
	}
	return n.save()
}

// isUnknown reports whether nothing tells the machine from another. Such is what an
// image builder's chroot is, or a container, where there is no machine-id yet.
func (b *boundMachine) isUnknown() bool {
	return b != nil && b.MachineID+b.Hardware+b.Instance+b.Chip == ""
}

// isCalledOtherwise reports whether this machine has another hostname than when the
// name was settled, and none that is this name either: a machine that was set up in
// a builder's chroot had the builder's.
func (n *node) isCalledOtherwise() bool {
	host, err := n.Machine.Hostname()
	was := n.state.Hostname
	return err == nil && was != "" && !isSameHost(host, was) && !isSameHost(host, n.state.Name)
}

// isSameHost takes a name with its domain and the same without for one.
func isSameHost(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	return a == b || strings.HasPrefix(a, b+".") || strings.HasPrefix(b, a+".")
}

// cloned says whose the state is, by what this isn't that machine, and what to do
// about it.
func (n *node) cloned(differ ...string) error {
	return fmt.Errorf("%w: the state in %s is that of %s and was made on another machine (%s), so it is not used. If this is that machine (moved, restored, with new hardware): icinga-enroll accept-machine",
		ErrClone, n.StateDir, n.state.called(), differing(differ))
}

func differing(what []string) string {
	verb := "differs"
	if len(what) > 1 {
		verb = "differ"
	}
	return fmt.Sprintf("the %s %s", strings.Join(what, " and the "), verb)
}

func (s *State) called() string {
	if name := s.bearer(); name != "" {
		return name
	}
	return "a machine without a name yet"
}
