package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain is also the service that TestServe starts.
func TestMain(m *testing.M) {
	if mode := os.Getenv("SERVE_TEST"); mode != "" {
		os.Exit(serveFor(mode))
	}
	os.Exit(m.Run())
}

func serveFor(fate string) int {
	err := Serve(context.Background(), "icinga-enroll-test", func(ctx context.Context) error {
		fmt.Println("works")
		if fate == "dies" {
			return errors.New("the worker died")
		}
		<-ctx.Done()
		if fate == "fails late" {
			return errors.New("the state could not be saved")
		}
		return fmt.Errorf("the loop has ended: %w", ctx.Err())
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

var example = Config{
	Name:        "icinga-enroll",
	Description: "Icinga enrolment and certificate renewal",
	Executable:  "/usr/bin/icinga-enroll",
	Arguments:   []string{"--config", "/etc/icinga-enroll/config.yml", "run"},
	WritePaths:  []string{"/var/lib/icinga-enroll", "/var/lib/icinga2/certs"},
}

func TestConfigIsChecked(t *testing.T) {
	for what, change := range map[string]func(*Config){
		"no name":                  func(c *Config) { c.Name = "" },
		"a name with a path in it": func(c *Config) { c.Name = "../x" },
		"a name that is an option": func(c *Config) { c.Name = "-x" },
		"a relative program":       func(c *Config) { c.Executable = "bin/icinga-enroll" },
		"a relative folder":        func(c *Config) { c.WritePaths = []string{"state"} },
		// A line break would begin another line of the unit.
		"a line break": func(c *Config) { c.Arguments = []string{"run\nUser=nobody"} },
	} {
		c := example
		c.Executable, c.WritePaths = filepath.Join(t.TempDir(), "x"), nil
		if _, err := c.complete(); err != nil {
			t.Fatal(err)
		}
		change(&c)
		if _, err := c.complete(); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
}

func TestTheProgramItselfIsInstalledByDefault(t *testing.T) {
	c, err := Config{Name: "x"}.complete()
	if err != nil {
		t.Fatal(err)
	}
	if self, _ := os.Executable(); c.Executable != self {
		t.Errorf("got %s, want %s", c.Executable, self)
	}
}

// takesAll is a manager that installs whatever it gets.
type takesAll struct{ manager }

func (takesAll) install(context.Context, Config) error { return nil }

// What root starts at every boot nobody else may replace.
func TestAProgramThatOthersCanReplaceIsNotInstalled(t *testing.T) {
	c := example
	c.Executable, c.WritePaths = filepath.Join(t.TempDir(), "icinga-enroll"), nil
	if err := os.WriteFile(c.Executable, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := install(t.Context(), takesAll{}, c); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(c.Executable, 0o777); err != nil {
		t.Fatal(err)
	}
	err := install(t.Context(), takesAll{}, c)
	if asRoot := os.Geteuid() == 0; asRoot != (err != nil) || asRoot && !strings.Contains(err.Error(), "chmod go-w "+c.Executable) {
		t.Errorf("installed as root: %v, error %v", asRoot, err)
	}
}
