package enroll

import (
	"context"
	"errors"

	"icinga-enroll/platform/agent"
)

// AgentPlan is what would become of the agent's files.
type AgentPlan struct {
	ConfigDir string
	Changes   []agent.Change
	Left      error // why they would not be made; nil: they would
}

// PlanAgent says what would be written to make the Icinga agent what the
// Director, or the configuration, says now. It changes nothing.
func (e *Enroller) PlanAgent(ctx context.Context) (AgentPlan, error) {
	n, err := e.look()
	if err != nil {
		return AgentPlan{}, err
	}
	defer n.close()
	for _, find := range []func(context.Context) (outcome, error){n.stillSameMachine, n.identity} {
		if _, err := find(ctx); err != nil {
			return AgentPlan{}, err
		}
	}
	if n.Director != nil && n.registered() && n.Agent.Parents == nil {
		told, err := n.Director.Parameters(ctx, n.hostKey())
		if err != nil {
			return AgentPlan{}, n.adviseReregister(err)
		}
		n.state.Parameters = &told
	}
	return n.planAgent(ctx)
}

func (n *node) planAgent(ctx context.Context) (AgentPlan, error) {
	p := n.parameters()
	if p == nil || len(p.Parents) == 0 {
		return AgentPlan{}, errors.New("nothing says which parents this node has: run icinga-enroll once first, or set agent.zone and agent.parents")
	}
	a, err := n.agent(ctx)
	if err != nil {
		return AgentPlan{}, adviseInstall(err)
	}
	if err := n.resolve(ctx, *p); err != nil {
		return AgentPlan{}, err
	}
	changes, err := a.Changes(n.setup(*p), n.state.Agent.Written)
	if err != nil {
		return AgentPlan{}, err
	}
	plan := AgentPlan{ConfigDir: a.ConfigDir, Changes: changes, Left: n.mayManage(a)}
	if plan.Left == nil {
		plan.Left = n.withheld(changes)
	}
	if n.Agent.Manage == ManageNever {
		plan.Left = errors.New("agent.manage is never")
	}
	return plan, nil
}
