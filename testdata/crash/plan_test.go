package crash_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// blow is what happens to a run: something at a point, as FAILPOINT has it, or a
// kill after a part of the time that the run takes.
type blow struct {
	point string
	part  float64
}

func (b blow) isRandom() bool { return b.point == "" }

func (b blow) isKill() bool { return !strings.Contains(b.point, ":E") }

// describe names the operation that a blow is for.
func (th *theatre) describe(b blow) string {
	if b.isRandom() {
		return fmt.Sprintf("at %.3f of its time", b.part)
	}
	for _, o := range th.operations {
		if strings.HasPrefix(b.point, fmt.Sprint(o.number, ":")) {
			return fmt.Sprintf("at %s (%s %s)", b.point, o.kind, o.name)
		}
	}
	return b.point
}

// planned is a blow for a phase.
type planned struct {
	*theatre
	blow
}

// plan has every operation killed before and after it, a write in its midst, too,
// as far as that many kills go, and at least a quarter at random moments. Half as
// many disks fail, under what ends by itself: a daemon does the same, until it
// has come to an end.
func plan(all []*theatre) {
	r := rand.New(rand.NewPCG(*seed, 0))
	points := choose(r, all, operation.moments)
	atRandom := max(*kills/4, *kills-len(points))
	failures := choose(r, slices.DeleteFunc(slices.Clone(all), (*theatre).isDaemon), operation.failures)
	for _, p := range append(points[:*kills-atRandom], failures[:min(*kills/2, len(failures))]...) {
		p.blows = append(p.blows, p.blow)
	}
	for i := range atRandom {
		th := all[0] // half of them where the window is that nobody can close
		if i%2 == 1 {
			th = all[i/2%len(all)]
		}
		th.blows = append(th.blows, blow{part: r.Float64()})
	}
}

// choose returns what can happen at every operation, in an order by chance.
func choose(r *rand.Rand, all []*theatre, ways func(operation) []string) (chosen []planned) {
	for _, th := range all {
		for _, o := range th.operations {
			for _, how := range ways(o) {
				chosen = append(chosen, planned{th, blow{point: fmt.Sprintf("%d:%s", o.number, how)}})
			}
		}
	}
	r.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	return chosen
}

// toll is what has come of it all.
type toll struct {
	killed, random, failed, survived int

	registration, between             int // of the kills
	registrationRandom, betweenRandom int // of those at random moments
}

func (l *toll) count(b blow, registration, between bool) {
	for _, is := range []struct {
		so bool
		of *int
	}{
		{b.isKill() && !b.isRandom(), &l.killed},
		{b.isRandom(), &l.random},
		{!b.isKill(), &l.failed},
		{b.isKill() && registration, &l.registration},
		{b.isKill() && between, &l.between},
		{b.isRandom() && registration, &l.registrationRandom},
		{b.isRandom() && between, &l.betweenRandom},
	} {
		if is.so {
			*is.of++
		}
	}
}

func printTolls(all []*theatre) {
	fmt.Println("| phase           | operations | killed at one | killed at random | disk failed | survived | in registration | between the two |")
	fmt.Println("|-----------------|-----------:|--------------:|-----------------:|------------:|---------:|----------------:|----------------:|")
	var sum toll
	operations := 0
	for _, th := range all {
		printRow(th.name, len(th.operations), th.toll)
		operations += len(th.operations)
		sum.killed += th.killed
		sum.random += th.random
		sum.failed += th.failed
		sum.survived += th.survived
		sum.registration += th.registration
		sum.between += th.between
	}
	printRow("all", operations, sum)
	first := all[0]
	fmt.Printf("Of %d kills at random in %q %d met the host made in the Director and its key not yet here, and %d one of key and certificate in place without the other.\n",
		first.random, first.name, first.registrationRandom, first.betweenRandom)
}

func printRow(name string, operations int, l toll) {
	fmt.Printf("| %-15s | %10d | %13d | %16d | %11d | %8d | %15d | %15d |\n", name, operations, l.killed, l.random, l.failed, l.survived, l.registration, l.between)
}
