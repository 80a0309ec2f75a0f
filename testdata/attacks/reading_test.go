//go:build linux

package attacks

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"

	"icinga-enroll/testdata/campaign"
)

// Root looks at a machine that is enrolled, hands its certificate on, and takes
// it out again, while the agent's account has put something in the place of the
// certificate's files.
func TestPlantedBeforeOtherVerbs(t *testing.T) {
	s := servers(t, nil)
	a := attack("the same before status, check, verify, export, leave, seal --check")
	for _, p := range plants {
		for _, target := range []string{"data/certs/CN.key", "data/certs/CN.crt", "data/certs/ca.crt", "data/certs"} {
			a.try(t, p.name+" at "+target, func(t *testing.T) {
				m := newMachine(t, s)
				m.enrol(t)
				m.fill(t)
				p.put(t, m, m.agentPath(strings.ReplaceAll(target, "CN", m.Name)))
				f := m.fenceIn(t)
				for _, args := range [][]string{
					{"status"}, {"status", "--json"}, {"check"}, {"verify"}, {"once", "--dry-run"}, {"agent", "plan"},
					{"export", "--format", "pem", "--out", m.Path("out.pem")}, {"seal", "--check"}, {"leave", "--local", "--yes"},
				} {
					r := m.Run(t, args...)
					f.untouched(t, r)
					f.unknown(t)
					bounded(t, r)
				}
			})
		}
	}
}

// Root exports into a folder of another account.
func TestPlantedWhereRootExports(t *testing.T) {
	s := servers(t, nil)
	a := attack("the same where root exports to, and where the service writes metrics")
	for _, p := range plants {
		for _, more := range [][]string{nil, {"--replace"}} {
			a.try(t, p.name+", export "+strings.Join(more, ""), func(t *testing.T) {
				m := newMachine(t, s)
				m.enrol(t)
				m.fill(t)
				out := m.agentPath("out.pem")
				p.put(t, m, out)
				f := m.fenceIn(t)
				r := m.Run(t, append([]string{"export", "--format", "pem", "--out", out}, more...)...)
				f.untouched(t, r)
				f.unknown(t)
				if info, err := os.Lstat(out); err != nil || r.Code == 0 && info.Mode() != 0o600 {
					t.Errorf("%v, %v: %s", info, err, r)
				}
			})
		}
		a.try(t, p.name+", metrics", func(t *testing.T) {
			m := newMachine(t, s)
			m.Env = append(m.Env, "ICINGA_ENROLL_METRICS_TEXTFILE="+m.agentPath("metrics", "icinga_enroll.prom"))
			m.fill(t)
			p.put(t, m, m.agentPath("metrics", "icinga_enroll.prom"))
			f := m.fenceIn(t)
			r := m.serve(t, func() bool {
				status, err := os.ReadFile(m.Path("state", "status.json"))
				return err == nil && strings.Contains(string(status), `"enrolled"`)
			})
			f.untouched(t, r)
			f.unknown(t)
			bounded(t, r)
			m.enrolled(t)
		})
	}
}

// serve runs the service until what is awaited is so, and ends it.
func (m *machine) serve(t *testing.T, until func() bool, args ...string) campaign.Result {
	t.Helper()
	return m.RunWhile(t, func(ctx context.Context, p *os.Process) {
		campaign.Await(ctx, until)
		_ = p.Signal(syscall.SIGTERM)
	}, append([]string{"run"}, args...)...)
}
