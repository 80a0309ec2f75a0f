package renew_test

import (
	"testing"
	"time"

	"icinga-enroll/renew"
)

// A server that can't serve a fleet asks all of it to wait for the same time:
// who comes back when that is over must not find all the others there.
func TestAFleetDoesNotComeBackTheMomentItMay(t *testing.T) {
	const nodes, asked = 1000, time.Minute
	var perSecond [int(3 * asked / time.Second)]int
	for range nodes {
		pause := renew.NewPauses().Next(renew.Retry, asked)
		if pause < asked || pause >= 3*asked {
			t.Fatalf("a pause of %s, asked was for %s: want that and up to twice as much again", pause, asked)
		}
		perSecond[pause/time.Second]++
	}
	for second, back := range perSecond {
		if back > nodes/20 {
			t.Errorf("%d of %d nodes are back in second %d", back, nodes, second)
		}
	}
}

// What a fleet offers a Director that refuses it sinks as the pauses grow. The
// numbers are those of testdata/results/overload.md.
func TestPausesTripleToHalfAnHour(t *testing.T) {
	const nodes = 2000
	mean := make([]time.Duration, 9)
	for range nodes {
		pauses := renew.NewPauses()
		for i := range mean {
			mean[i] += pauses.Next(renew.Retry, 0) / nodes
		}
	}
	for i, want := range []time.Duration{2, 6, 18, 54, 162, 486, 900, 900, 900} {
		if want *= time.Second; mean[i] < want*9/10 || mean[i] > want*11/10 {
			t.Errorf("the mean of pause %d is %s, want about %s", i+1, mean[i], want)
		}
	}
}

// A machine that boots gets its name and its time within seconds or minutes; no
// server is spared by looking later. One that never gets them isn't kept awake.
func TestAMachineThatIsNotReadyIsLookedAtSoon(t *testing.T) {
	pauses := renew.NewPauses()
	for waited := time.Duration(0); waited < 50*time.Minute; {
		pause := pauses.Next(renew.Local, 0)
		if pause > 10*time.Second {
			t.Fatalf("after %s a pause of %s", waited, pause)
		}
		waited += pause
	}
	var day time.Duration
	for range 1000 {
		day += pauses.Next(renew.Local, 0)
	}
	if day < 24*time.Hour {
		t.Errorf("1000 looks later in %s, want more than a day", day)
	}
}
