package enroll

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/platform"
)

// forgetKey empties the file with the template key, which registers any host of
// the fleet, once this node can do without it: its own key is on disk and was not
// refused, and a certificate is in place. Whoever reads the disk from then on
// learns this node's secrets only.
func (n *node) forgetKey(context.Context) (outcome, error) {
	if n.TemplateKeyFile == "" || n.TemplateKey.IsZero() || !n.registered() || !n.keyAccepted() || n.pair == nil {
		return outcome{}, nil
	}
	folder, file := filepath.Split(n.TemplateKeyFile)
	dir, err := platform.OpenDir(folder)
	if err != nil {
		return outcome{}, n.adviseForget(err)
	}
	defer func() { _ = dir.Close() }()
	if err := dir.Empty(file); err != nil {
		return outcome{}, n.adviseForget(err)
	}
	n.findCopies(dir)
	n.TemplateKey = secret.Text{}
	return changed("%s is empty now: the template key is not on this machine any more", n.TemplateKeyFile)
}

// findCopies says which files beside the emptied one have the key, too: what an
// editor, a package or somebody careful has left.
func (n *node) findCopies(dir *platform.Dir) {
	names, _ := dir.Names() // nothing to say of a folder that can't be read
	for _, name := range names {
		data, err := dir.ReadFile(name)
		if err == nil && bytes.Contains(data, []byte(n.TemplateKey.Reveal())) {
			n.note(Step{Name: "forget", Text: filepath.Join(dir.Path(), name) + " has the template key in it, too: remove it", Warning: true})
		}
	}
}

// adviseForget doesn't wrap err: that a service may not write there is no sign of
// an agent that was installed meanwhile.
func (n *node) adviseForget(err error) error {
	return fmt.Errorf("the template key is still in %s (director.forget_template_key): %s; icinga-enroll once empties it, too, and icinga-enroll service install lets the service do it", n.TemplateKeyFile, err.Error())
}

// keyForgotten reports whether the template key was forgotten, and can't register
// this node again.
func (n *node) keyForgotten() bool { return n.TemplateKeyFile != "" && n.TemplateKey.IsZero() }

// lacksKey says what keeps this node from being registered.
func (n *node) lacksKey() error {
	if n.keyForgotten() {
		return forgottenError(n.TemplateKeyFile)
	}
	return ErrNoKey
}

// forgottenError is ErrNoKey where a file had a key, and names it.
type forgottenError string

func (file forgottenError) Error() string {
	return fmt.Sprintf("this node isn't registered, and there is no template key in %s: it was forgotten after an enrolment (director.forget_template_key), or never written there. Write the host template's self-service API key into it, then run icinga-enroll once", string(file))
}

func (forgottenError) Unwrap() error { return ErrNoKey }
