package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// licences writes the licences of everything that any of the programs is linked
// with: they all want to be handed on with it.
func licences(w io.Writer) error {
	modules := map[string]string{"Go": runtime.GOROOT()} //nolint:staticcheck // SA1019: this runs where it was built
	for _, system := range []string{"linux", "darwin", "freebsd", "windows"} {
		list := exec.Command("go", "list", "-deps", "-json=Module", "./cmd/icinga-enroll")
		list.Env = append(os.Environ(), "GOOS="+system)
		list.Stderr = os.Stderr
		out, err := list.Output()
		if err != nil {
			return fmt.Errorf("go list for %s: %w", system, err)
		}
		if err := collect(strings.NewReader(string(out)), modules); err != nil {
			return err
		}
	}
	var names []string
	for name := range modules {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := copyLicence(w, name, modules[name]); err != nil {
			return err
		}
	}
	return nil
}

// collect adds the folders of the modules in what "go list" has printed.
func collect(listed io.Reader, modules map[string]string) error {
	for decoder := json.NewDecoder(listed); ; {
		var pkg struct {
			Module *struct {
				Path, Version, Dir string
				Main               bool
			}
		}
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if m := pkg.Module; m != nil && !m.Main {
			modules[m.Path+" "+m.Version] = m.Dir
		}
	}
}

func copyLicence(w io.Writer, name, folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "[LN][IO][CT][EI][NC]*"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("%s has no file LICENSE in %s: see under which it comes, and add its name here", name, folder)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "======== %s: %s\n\n%s\n", name, filepath.Base(file), text); err != nil {
			return err
		}
	}
	return nil
}
