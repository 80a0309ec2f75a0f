package crash_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"icinga-enroll/testdata/campaign"
)

// TestWindows measures how long an enrolment is in the two windows in which a
// crash leaves something half done, by the clocks of server and program. What a
// crash does there TestCrashes asserts.
func TestWindows(t *testing.T) {
	const rounds = 31
	w := newWorld(t, campaign.Build(t, "failpoints"))
	w.save(t)
	var registration, durable, between []time.Duration
	for range rounds {
		operations, _ := w.record(t, "once")
		made := w.registered.Load()
		kept := find(t, operations, "rename", "state.json", made)
		registration = append(registration, time.Duration(kept.ended-made))
		durable = append(durable, time.Duration(find(t, operations, "sync", w.Path("state"), kept.ended).ended-made))
		key := find(t, operations, "rename", w.Name+".key", 0)
		between = append(between, time.Duration(find(t, operations, "rename", w.Name+".crt", key.ended).ended-key.ended))
	}
	fmt.Printf("From the host in the Director to its key in place: %s, after a power cut, too: %s; from key to certificate in place: %s (medians of %d)\n",
		median(registration), median(durable), median(between), rounds)
}

// find returns the first operation of that kind after a time.
func find(t *testing.T, operations []operation, kind, name string, after int64) operation {
	t.Helper()
	i := slices.IndexFunc(operations, func(o operation) bool {
		return o.kind == kind && strings.TrimSuffix(o.name, "/.") == name && o.ended > after
	})
	if i < 0 {
		t.Fatalf("no %s of %s among %v", kind, name, operations)
	}
	return operations[i]
}

func median(of []time.Duration) time.Duration {
	slices.Sort(of)
	return of[len(of)/2].Round(10 * time.Microsecond)
}

// TestSwitchIsEndedBeforeAnythingElse: a daemon ends what a crash has cut short
// before it says that it is ready, which the agent's start waits for; nobody need
// be reachable for that.
func TestSwitchIsEndedBeforeAnythingElse(t *testing.T) {
	w := newWorld(t, campaign.Build(t, "failpoints"))
	enrolled(t, w)
	w.save(t)
	operations, _ := w.record(t, "renew", "--rekey")
	at := find(t, operations, "rename", w.Name+".crt", 0)
	w.restore(t)
	w.Env = append(w.Env, fmt.Sprintf("FAILPOINT=%d:before", at.number))
	w.play(t, 0, "renew", "--rekey")
	if !w.inSwitch() {
		t.Fatal("key and certificate belong together: it wasn't killed between the two")
	}
	w.Director.Close()
	w.Master.Close()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: w.Path("notify"), Net: "unixgram"})
	must(t, err)
	defer func() { _ = socket.Close() }()
	w.Env = append(w.Env[:1], "NOTIFY_SOCKET="+w.Path("notify"))
	ready := false
	w.RunWhile(t, func(ctx context.Context, p *os.Process) {
		defer context.AfterFunc(ctx, func() { _ = socket.SetReadDeadline(time.Now()) })()
		said := make([]byte, 100)
		for n, err := socket.Read(said); err == nil; n, err = socket.Read(said) {
			if string(said[:n]) != "READY=1" {
				continue
			}
			ready = true
			if _, err := w.Pair(); err != nil {
				t.Errorf("it is ready, and there is no valid pair: %v", err)
			}
			_ = p.Signal(os.Interrupt)
		}
	}, "run")
	if !ready {
		t.Error("it never said that it is ready")
	}
}
