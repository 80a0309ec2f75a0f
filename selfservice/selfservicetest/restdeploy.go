package selfservicetest

import (
	"crypto/rand"
	"crypto/sha1" // #nosec G505 -- the real ones are SHA-1, too
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// deploy renders the configuration, and gives it to the master. That validates
// it: a host without a template has no check command, and is refused.
func (d *Director) deploy(w http.ResponseWriter) {
	if d.masterRefuses(w) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	sum := sha1.New() // #nosec G401 -- the real ones are SHA-1, too
	valid := true
	for _, key := range slices.Sorted(maps.Keys(d.hosts)) {
		h := d.hosts[key]
		if d.poisoned(h) {
			writeInvalidParent(w, h)
			return
		}
		valid = valid && len(h.templates()) > 0
		sum.Write(h.rendered())
	}
	checksum := hex.EncodeToString(sum.Sum(nil))
	if d.active != checksum {
		d.deployed[checksum] = "undeployed"
		d.validated = func() { d.validate(checksum, valid) }
	}
	writeJSON(w, http.StatusOK, map[string]string{"checksum": checksum})
}

// validate ends a deployment.
func (d *Director) validate(checksum string, valid bool) {
	if !valid {
		d.deployed[checksum] = "failed"
		return
	}
	if d.active != "" {
		d.deployed[d.active] = "deployed"
	}
	d.active = checksum
	d.deployed[checksum] = "active"
}

// deploymentStatus tells of a deployment that is going on; the next time it has
// ended.
func (d *Director) deploymentStatus(w http.ResponseWriter, configs string) {
	if d.masterRefuses(w) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	answer := map[string]any{"active_configuration": map[string]string{}}
	if d.active != "" {
		answer["active_configuration"] = map[string]string{
			"stage_name": strings.ToLower(rand.Text()), "config": d.active, "activity": newKey(),
		}
	}
	if configs != "" {
		states := make(map[string]string)
		for checksum := range strings.SplitSeq(configs, ",") {
			states[checksum] = "unknown"
			if state, ok := d.deployed[checksum]; ok {
				states[checksum] = state
			}
		}
		answer["configs"] = states
	}
	if d.validated != nil {
		d.validated()
		d.validated = nil
	}
	writeJSON(w, http.StatusOK, answer)
}

// masterRefuses reports whether the master has answered with an error.
func (d *Director) masterRefuses(w http.ResponseWriter) bool {
	if d.Master == nil {
		return false
	}
	err := d.Master()
	if err != nil {
		writeWebError(w, http.StatusInternalServerError, err.Error())
	}
	return err != nil
}
