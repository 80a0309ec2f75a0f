// Command sandbox starts a Director and a master on loopback, writes
// config.yml for a node into a folder, and stays until its input ends.
// usage: sandbox FOLDER NAME
package main

import (
	"fmt"
	"io"
	"os"

	"icinga-enroll/enroll/sandbox"
)

func main() {
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(folder, name string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	servers, err := sandbox.Start(nil)
	if err != nil {
		return err
	}
	defer servers.Close()
	if _, err := servers.WriteConfig(folder, name); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
