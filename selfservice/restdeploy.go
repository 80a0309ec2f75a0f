package selfservice

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// deployLimit is how long a Director may take to render its configuration and
// hand it to the master: minutes with many thousand hosts.
const deployLimit = 5 * time.Minute

// DeploymentState is what became of a configuration, in the Director's word.
type DeploymentState string

// The states, as observed on Director 1.10.2. A failed configuration stays
// failed, and an active one is deployed from when another has taken its place.
const (
	// DeploymentPending: it is rendered and, if it was deployed, the master has
	// not validated it yet.
	DeploymentPending DeploymentState = "undeployed"
	// DeploymentActive: the master runs with it, or is restarting to do so.
	// It is the state of what is deployed again without a change, at once.
	DeploymentActive DeploymentState = "active"
	// DeploymentReplaced: the master accepted it, and another is active.
	DeploymentReplaced DeploymentState = "deployed"
	// DeploymentFailed: the master has refused it, and goes on with the one
	// before. Why, only [Controller.DeploymentsPage] shows: no answer of the REST
	// API has the master's words, and the master's own copy of them goes with the
	// next deployment.
	DeploymentFailed DeploymentState = "failed"
	// DeploymentUnknown: the Director has never rendered such a configuration.
	DeploymentUnknown DeploymentState = "unknown"
)

// Deploy renders the configuration and hands it to the master, which reloads
// even if nothing has changed. It includes the changes of everybody else. No
// error means only that the master has it: ask [Controller.Deployment] with the
// checksum until it is not pending.
func (c *Controller) Deploy(ctx context.Context) (checksum string, err error) {
	k := call{name: "POST config/deploy", method: http.MethodPost, path: "config/deploy", limit: deployLimit}
	answer, err := c.client.do(ctx, k)
	if err != nil {
		return "", err
	}
	var deployed struct {
		Checksum string `json:"checksum"`
	}
	// Its checksums have the form of its keys.
	if err := json.Unmarshal(answer, &deployed); err != nil || !isHostKey(deployed.Checksum) {
		return "", c.client.unreadable(k, http.StatusOK, errors.New("the answer holds no checksum of 40 hex digits"))
	}
	return deployed.Checksum, nil
}

// Deployment returns the state of the configuration with that checksum. The
// Director asks its master: while that restarts the call fails, temporarily.
func (c *Controller) Deployment(ctx context.Context, checksum string) (DeploymentState, error) {
	k := call{
		name:   "GET config/deployment-status",
		method: http.MethodGet,
		path:   "config/deployment-status",
		query:  url.Values{"configs": {checksum}},
		limit:  callLimit,
	}
	answer, err := c.client.do(ctx, k)
	if err != nil {
		return "", err
	}
	state, err := decodeDeployment(answer, checksum)
	if err != nil {
		return "", c.client.unreadable(k, http.StatusOK, err)
	}
	return state, nil
}

// DeploymentsPage is where Icinga Web shows a person, for each deployment, what
// the master said of it. It takes the permission director/deploy.
func (c *Controller) DeploymentsPage() string {
	return c.client.base.JoinPath("config", "deployments").String()
}

func decodeDeployment(answer []byte, checksum string) (DeploymentState, error) {
	var status struct {
		Configs map[string]DeploymentState `json:"configs"`
	}
	err := json.Unmarshal(answer, &status)
	switch state := status.Configs[checksum]; state {
	case DeploymentPending, DeploymentActive, DeploymentReplaced, DeploymentFailed, DeploymentUnknown:
		return state, err
	}
	return "", errors.New("the answer does not say what became of the configuration")
}
