package agent

import (
	"os"
	"path/filepath"

	"icinga-enroll/platform"
)

// stand puts a copy of a file or folder of the agent's into the stage: making
// links is a privilege here.
func stand(stage *platform.Dir, name, target string) error {
	if !filepath.IsAbs(target) {
		target = filepath.Join(stage.Path(), target)
	}
	info, err := os.Stat(target)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(filepath.Join(stage.Path(), name), os.DirFS(target))
	}
	text, err := os.ReadFile(target)
	if err != nil {
		return err
	}
	return stage.WriteFile(name, text, 0o640, platform.Owner{})
}
