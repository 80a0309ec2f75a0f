//go:build unix

package agent

import "icinga-enroll/platform"

// stand puts something into the stage for a file or folder of the agent's: a
// link, so that nothing has to be read that only the agent may read.
func stand(stage *platform.Dir, name, target string) error { return stage.WriteLink(name, target) }
