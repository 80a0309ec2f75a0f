package selfservicetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// A refusal answers a request whose properties can't be stored.
type refusal func(w http.ResponseWriter)

func refuse(status int, format string, args ...any) refusal {
	return func(w http.ResponseWriter) { writeError(w, status, fmt.Sprintf(format, args...)) }
}

// writeDatabaseError is what the Director makes of its database's refusal: the
// text of that has bytes in it that are no JSON.
func writeDatabaseError(w http.ResponseWriter) {
	writeWebError(w, http.StatusInternalServerError, "Malformed UTF-8 characters, possibly incorrectly encoded")
}

// apply gives h the properties. A null empties one.
func (d *Director) apply(h *Host, properties map[string]any) refusal {
	if name, ok := properties["object_name"].(string); ok {
		h.Name = name
	}
	for _, property := range slices.Sorted(maps.Keys(properties)) {
		if refused := d.set(h, property, properties[property]); refused != nil {
			return refused
		}
	}
	return d.storable(*h)
}

func (d *Director) set(h *Host, property string, value any) refusal {
	texts := map[string]*string{
		"object_name":  &h.Name,
		"display_name": &h.DisplayName,
		"address":      &h.Address,
		"address6":     &h.Address6,
		"zone":         &h.Zone,
		"api_key":      &h.Key,
	}
	variable, isVariable := strings.CutPrefix(property, "vars.")
	text, isText := texts[property]
	switch {
	case isText:
		*text, _ = value.(string)
	case isVariable:
		h.setVar(variable, value)
	case property == "vars":
		h.Vars, _ = value.(map[string]any)
	case property == "imports":
		return d.setImports(h, value)
	case property != "object_type":
		return refuse(http.StatusInternalServerError, "Trying to set invalid key \"%s\"", property)
	}
	return nil
}

// setVar sets a variable; null removes it.
func (h *Host) setVar(name string, value any) {
	if value == nil {
		delete(h.Vars, name)
		return
	}
	if h.Vars == nil {
		h.Vars = make(map[string]any)
	}
	h.Vars[name] = value
}

// setImports takes a list of names, or a single one. The last one that isn't
// silent stands for all of them in what the fake does with a host.
func (d *Director) setImports(h *Host, value any) refusal {
	names, _ := value.([]any)
	if name, ok := value.(string); ok {
		names = []any{name}
	}
	h.Template, h.imports = "", nil
	for _, value := range names {
		name, _ := value.(string)
		template, isTemplate := d.templates[strings.ToLower(name)]
		_, isHost := d.hosts[strings.ToLower(name)]
		if !isTemplate && !isHost {
			return refuse(http.StatusNotFound, "Unable to load parent referenced from host \"%s\", no such object available", h.Name)
		}
		if !template.Silent {
			h.Template = name
		}
		h.imports = append(h.imports, name)
	}
	return nil
}

// storable refuses what the Director's database would.
func (d *Director) storable(h Host) refusal {
	other, taken := d.hostOf(h.Key)
	_, isTemplates := d.templateOf(h.Key)
	switch {
	case h.Zone != "" && !d.isZone(h.Zone):
		return refuse(http.StatusInternalServerError, "Unable to load object (zone: %s) referenced from host \"%s\", no such object available", h.Zone, h.Name)
	case isTemplates, taken && !strings.EqualFold(other.Name, h.Name), !storable(h.Name, 255), !storable(h.DisplayName, 255),
		!storable(h.Address, 255), !storable(h.Address6, 45), !storable(h.Key, 40):
		return writeDatabaseError
	}
	return nil
}

func (d *Director) isZone(name string) bool {
	return slices.Contains(d.Settings.GlobalZones, name) || slices.ContainsFunc(slices.Collect(maps.Values(d.templates)),
		func(t Template) bool { return t.Zone == name })
}

// templates are the names that h imports.
func (h Host) templates() []string {
	if h.imports == nil && h.Template != "" {
		return []string{h.Template}
	}
	return h.imports
}

// plain is the host as the REST API shows it: without what is empty.
func (h Host) plain() map[string]any {
	plain := map[string]any{"object_name": h.Name, "object_type": "object"}
	for property, value := range map[string]string{
		"display_name": h.DisplayName,
		"address":      h.Address,
		"address6":     h.Address6,
		"zone":         h.Zone,
		"api_key":      h.Key,
	} {
		if value != "" {
			plain[property] = value
		}
	}
	if imports := h.templates(); len(imports) > 0 {
		plain["imports"] = imports
	}
	if len(h.Vars) > 0 {
		plain["vars"] = maps.Clone(h.Vars)
	}
	return plain
}

// plain is the template as the REST API shows it.
func (t Template) plain() map[string]any {
	plain := map[string]any{
		"check_command": "hostalive",
		"fields":        []any{},
		"object_name":   t.Name,
		"object_type":   "template",
	}
	if !t.Silent {
		plain["has_agent"] = !t.NoAgent
	}
	if t.Key != "" {
		plain["api_key"] = t.Key
	}
	if t.Zone != "" {
		plain["zone"] = t.Zone
	}
	return plain
}

// rendered stands for a host's part of the configuration.
func (h Host) rendered() []byte {
	plain := h.plain()
	delete(plain, "api_key")
	text, _ := json.Marshal(plain) // what came as JSON can be written as such
	return text
}
