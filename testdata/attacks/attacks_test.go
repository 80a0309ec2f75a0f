//go:build linux

// Package attacks has the program attacked, as its users have it, by whoever may
// try: the Icinga agent's account on the same machine, a Director, a CA or a
// parent that was taken over, and who stands between. It runs as root; make
// attacks runs it, and prints how many cases of each attack were survived.
package attacks

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"icinga-enroll/testdata/campaign"
)

// program is the path of what is attacked.
var program string

func TestMain(m *testing.M) { os.Exit(attackAll(m)) }

func attackAll(m *testing.M) int {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "the attacks are on root: run this as root")
		return 1
	}
	dir, err := os.MkdirTemp("", "attacks")
	if err == nil {
		defer os.RemoveAll(dir)
		program, err = campaign.BuildIn(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	start := time.Now()
	code := m.Run()
	table.print(time.Since(start))
	return code
}

// score is what has come of one attack.
type score struct {
	attack          string
	cases, survived int
	begun           bool
}

type scores struct {
	mu   sync.Mutex
	list []*score
}

var table scores

// attack begins a row of the table.
func attack(what string) *score {
	s := &score{attack: what}
	table.mu.Lock()
	defer table.mu.Unlock()
	table.list = append(table.list, s)
	return s
}

// try is a case of the attack. Most of its time it waits for the disk: others
// run beside it.
func (s *score) try(t *testing.T, name string, do func(t *testing.T)) {
	t.Helper()
	if s.begun && !chosen(s.attack+name) {
		return
	}
	s.begun = true
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		t.Cleanup(func() { s.count(!t.Failed()) })
		do(t)
	})
}

func (s *score) count(survived bool) {
	table.mu.Lock()
	defer table.mu.Unlock()
	s.cases++
	if survived {
		s.survived++
	}
}

func (s *scores) print(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	all := score{attack: "all"}
	fmt.Fprintln(w, "attack\tcases\tsurvived")
	for _, row := range s.list {
		fmt.Fprintf(w, "%s\t%d\t%d\n", row.attack, row.cases, row.survived)
		all.cases, all.survived = all.cases+row.cases, all.survived+row.survived
	}
	fmt.Fprintf(w, "%s\t%d\t%d\n", all.attack, all.cases, all.survived)
	_ = w.Flush()
	fmt.Printf("%s%s, in %s\n", &text, time.Now().UTC().Format(time.DateOnly), took.Round(time.Second))
	if short {
		fmt.Printf("one case of six; these again: ATTACKS=short ATTACKS_SEED=%s\n", seed)
	}
}

// short has one case of six tried, others each time; ATTACKS_SEED has the same again.
var (
	short = os.Getenv("ATTACKS") == "short"
	seed  = cmp.Or(os.Getenv("ATTACKS_SEED"), rand.Text())
)

func chosen(name string) bool {
	sum := sha256.Sum256([]byte(seed + name))
	return !short || sum[0]%6 == 0
}
