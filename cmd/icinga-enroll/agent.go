package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"icinga-enroll/enroll"
	"icinga-enroll/platform/agent"
)

func newAgent() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Look at, or set up anew, the Icinga agent's configuration",
		Long: `What "once" and "run" do with the Icinga agent's files goes by agent.manage. With
"plan" it is looked at first; with "apply" a change in the Director is taken over.`,
		Example: "  icinga-enroll agent plan && icinga-enroll agent apply",
		Args:    cobra.NoArgs,
		RunE:    verb(sayWhat("say what to do with the agent's configuration: plan or apply")),
	}
	plan := &cobra.Command{
		Use:   "plan",
		Short: "Show what would change in the agent's files",
		Long: `Asks the Director what this node's zone and parents are, and shows what would be
written to the Icinga agent's files for that. Nothing is written.`,
		Example: "  icinga-enroll agent plan",
		Args:    cobra.NoArgs,
		RunE:    verb(agentPlan),
	}
	apply := &cobra.Command{
		Use:   "apply",
		Short: "Make the agent what the Director says now",
		Long: `Asks the Director what this node's zone and parents are, has the agent validate a
configuration for that, writes it, and has the agent read it. If the agent doesn't
take it, the old files are put back.`,
		Example: "  icinga-enroll agent apply",
		Args:    cobra.NoArgs,
		RunE:    verb(agentApply),
	}
	for _, c := range []*cobra.Command{plan, apply} {
		addSettings(c.Flags())
	}
	cmd.AddCommand(plan, apply)
	return cmd
}

// errNoAgent says that an API client's certificate is nobody's but its own.
var errNoAgent = usage("profile: an API client has no Icinga agent")

func agentPlan(cmd *cobra.Command, _ []string) error {
	e, done, err := newEnroller(cmd, nil)
	if err != nil {
		return err
	}
	defer done()
	if e.APIClient {
		return errNoAgent
	}
	plan, err := e.PlanAgent(cmd.Context())
	if err != nil {
		return err
	}
	return printPlan(cmd.OutOrStdout(), plan)
}

func printPlan(w io.Writer, plan enroll.AgentPlan) error {
	if len(plan.Changes) == 0 {
		_, err := fmt.Fprintf(w, "nothing to change in %s\n", plan.ConfigDir)
		return err
	}
	for _, c := range plan.Changes {
		if _, err := fmt.Fprint(w, printable(planned(plan.ConfigDir, c))); err != nil {
			return err
		}
	}
	if plan.Left != nil {
		_, err := fmt.Fprintf(w, "! not done: %s\n", ownLines(plan.Left.Error()))
		return err
	}
	return nil
}

// planned shows a change as a diff, that of a link in a line.
func planned(folder string, c agent.Change) string {
	file := filepath.Join(folder, filepath.FromSlash(c.New.Name))
	switch {
	case c.New.None:
		return "remove " + file + "\n"
	case c.New.Link != "":
		return "link " + file + " to " + c.New.Link + "\n"
	}
	return string(diff.Diff(file, []byte(c.Old.Text), file+" (planned)", []byte(c.New.Text)))
}

func agentApply(cmd *cobra.Command, _ []string) error {
	lines := newLines(cmd, false)
	defer lines.close()
	e, done, err := newEnroller(cmd, lines.observe)
	if err != nil {
		return err
	}
	defer done()
	if e.APIClient {
		return errNoAgent
	}
	e.Apply = true
	report, err := e.Ensure(cmd.Context())
	if err == nil {
		err = report.Setback
	}
	return err
}
