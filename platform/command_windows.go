package platform

import "os/exec"

// endTogether leaves it at the program itself: Windows has no process groups
// that a service could end.
func endTogether(*exec.Cmd) {}
