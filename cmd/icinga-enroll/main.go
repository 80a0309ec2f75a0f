// Command icinga-enroll makes this machine a monitored node: it registers it
// in Icinga Director and obtains and renews its certificate.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"icinga-enroll/platform"
)

func main() {
	platform.NoCore()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
