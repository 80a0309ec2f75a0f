package enroll

import (
	"testing"

	"icinga-enroll/platform/machine"
)

func TestAnotherMachine(t *testing.T) {
	id := func(kind machine.Kind, machineID, hardware, instance string) machine.Identity {
		return machine.Identity{Kind: kind, MachineID: machineID, Hardware: hardware, Instance: instance}
	}
	withChip := func(id machine.Identity, chip string) machine.Identity {
		id.Chip = chip
		return id
	}
	const p, v, c = machine.Physical, machine.Virtual, machine.Container
	for _, row := range []struct {
		name     string
		was, is  machine.Identity
		isCloned bool
	}{
		{"the same physical one", id(p, "a", "A", ""), id(p, "a", "A", ""), false},
		{"a new mainboard", id(p, "a", "A", ""), id(p, "a", "B", ""), false},
		{"installed anew, with the state brought back", id(p, "a", "A", ""), id(p, "b", "A", ""), false},
		{"an image on another physical one", id(p, "a", "A", ""), id(p, "b", "B", ""), true},
		{"physical, one with no UUID of its own", id(p, "a", "", ""), id(p, "b", "", ""), false},
		{"the same virtual one", id(v, "a", "A", "i"), id(v, "a", "A", "i"), false},
		{"a virtual copy keeps its machine-id", id(v, "a", "A", ""), id(v, "a", "B", ""), true},
		{"a virtual one whose machine-id was made anew", id(v, "a", "A", ""), id(v, "b", "A", ""), false},
		{"moved, or restored in place", id(v, "a", "A", "i"), id(v, "a", "A", "j"), false},
		{"virtual without a UUID: the cloud tells", id(v, "a", "", "i"), id(v, "a", "", "j"), true},
		{"virtual without a UUID: the cloud tells of the same one", id(v, "a", "", "i"), id(v, "b", "", "i"), false},
		{"virtual with a machine-id alone", id(v, "a", "", ""), id(v, "b", "", ""), true},
		{"an account that may not read the UUID", id(v, "a", "A", ""), id(v, "a", "", ""), false},
		{"before the machine-id was set", id(v, "", "", ""), id(v, "a", "A", ""), false},
		{"physical, with another mainboard and its TPM", withChip(id(p, "a", "A", ""), "x"), withChip(id(p, "a", "B", ""), "y"), false},
		{"an image on another physical one that has no UUID of its own", withChip(id(p, "a", "", ""), "x"), withChip(id(p, "b", "", ""), "y"), true},
		{"a TPM that its firmware has made anew", withChip(id(p, "a", "A", ""), "x"), withChip(id(p, "a", "A", ""), "y"), false},
		{"virtual, with a TPM made anew", withChip(id(v, "a", "A", ""), "x"), withChip(id(v, "a", "A", ""), "y"), false},
		{"a virtual copy for an account that may not read the UUID", withChip(id(v, "a", "", ""), "x"), withChip(id(v, "a", "", ""), "y"), true},
		{"a virtual copy that was given its original's TPM", withChip(id(v, "a", "", ""), "x"), withChip(id(v, "b", "", ""), "x"), true},
		{"a TPM that doesn't answer", withChip(id(v, "a", "", ""), "x"), id(v, "a", "", ""), false},
		{"a container copied", id(c, "a", "", ""), id(c, "b", "", ""), true},
		{"a container started anew", id(c, "a", "", ""), id(c, "a", "", ""), false},
		{"a container without a machine-id", id(c, "", "", ""), id(c, "", "", ""), false},
		{"a physical one made virtual", id(p, "a", "A", ""), id(v, "a", "B", ""), true},
		{"a virtual one copied into a container", id(v, "a", "A", ""), id(c, "b", "", ""), true},
		{"a container without a machine-id that doesn't always look like one", id(c, "", "", ""), id(v, "", "A", ""), false},
		{"a container's root in a virtual machine", id(c, "a", "", ""), id(v, "b", "A", ""), true},
		{"a container that doesn't always look like one", id(c, "a", "", ""), id(v, "a", "A", ""), false},
		{"a container that looks like one again", id(v, "a", "A", ""), id(c, "a", "", ""), false},
	} {
		was := newBoundMachine(row.was)
		if got := was.isAnother(sealMachine(row.is, was.Salt)); got != row.isCloned {
			t.Errorf("%s: another machine: %t", row.name, got)
		}
	}
}

// Two nodes with the same machine-id can't be told from what their states hold.
func TestIdentifiersAreSalted(t *testing.T) {
	id := machine.Identity{Kind: machine.Virtual, MachineID: "0123456789abcdef0123456789abcdef"}
	a, b := newBoundMachine(id), newBoundMachine(id)
	if a.MachineID == b.MachineID || a.MachineID == id.MachineID {
		t.Errorf("%q and %q", a.MachineID, b.MachineID)
	}
}
