//go:build !linux

package platform

// outsideSandbox is for systemd.
func outsideSandbox(argv, _ []string) []string { return argv }
