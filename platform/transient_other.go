//go:build !linux

package platform

// outsideSandbox is for systemd.
func outsideSandbox(argv, _ []string) []string { return argv }

// readOnlyHere says who it is that lets this process read only.
func readOnlyHere() string { return readOnlyMount }
