package selfservicetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// register answers register-host. The Director checks the key in the query,
// then the body, then what is missing, then the host.
func (d *Director) register(w http.ResponseWriter, r *http.Request, body []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	query := r.URL.Query()
	key := orElse(query.Get("key"), "")
	if refusal := d.refuse(key); key != "" && refusal != "" {
		writeError(w, http.StatusNotFound, refusal)
		return
	}
	properties, ok := readProperties(w, r, body)
	if !ok {
		return
	}
	name := orElse(query.Get("name"), properties["object_name"])
	key = orElse(key, properties["key"])
	switch {
	case name == "" && key == "":
		writeError(w, http.StatusBadRequest, "Missing parameters: object_name, key")
		return
	case name == "":
		writeError(w, http.StatusBadRequest, "object_name is required")
		return
	case key == "":
		writeError(w, http.StatusBadRequest, "key is required")
		return
	}
	if refusal := d.refuse(key); refusal != "" { // the key was in the body
		writeError(w, http.StatusBadRequest, refusal+" (IcingaHost.php:663)")
		return
	}
	template, _ := d.templateOf(key)
	d.create(w, template, name, properties)
}

// orElse is PHP's idea of a value that is set: "0" is not.
func orElse(a, b string) string {
	if a != "" && a != "0" {
		return a
	}
	if b == "0" {
		return ""
	}
	return b
}

// refuse says what is wrong with a template's key, "" for nothing.
func (d *Director) refuse(key string) string {
	t, found := d.templateOf(key)
	switch {
	case !found:
		return invalidKey(key)
	case t.NoAgent:
		return fmt.Sprintf("Got valid API key \"%s\", but template is not for Agents", key)
	}
	return ""
}

// readProperties reads the body. A body that is no JSON is an error only if it
// claims to be; a null in it always is one.
func readProperties(w http.ResponseWriter, r *http.Request, body []byte) (map[string]string, bool) {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var value any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	err := d.Decode(&value)
	object, isObject := value.(map[string]any)
	_, isArray := value.([]any)
	for _, v := range object {
		if v == nil {
			writeWebError(w, http.StatusInternalServerError, "Invalid value passed to setPost(); must be either array of values or key/value pair")
			return nil, false
		}
	}
	switch {
	case mediaType != "application/json":
	case err != nil:
		writeWebError(w, http.StatusInternalServerError, fmt.Sprintf("Syntax error: '%s'", body))
		return nil, false
	case !isObject && !isArray:
		writeWebError(w, http.StatusInternalServerError, "Zend_Form::isValid expects an array")
		return nil, false
	}
	properties := make(map[string]string)
	for k, v := range object {
		properties[k] = fmt.Sprint(v)
	}
	return properties, true
}

// create makes the host or, if it is there without a key, registers it: what
// is sent then replaces what it has, its template stays.
func (d *Director) create(w http.ResponseWriter, t Template, name string, properties map[string]string) {
	h, exists := d.hosts[strings.ToLower(name)]
	_, isTemplate := d.templates[strings.ToLower(name)]
	switch {
	case isTemplate:
		writeError(w, http.StatusBadRequest, fmt.Sprintf("You are not allowed to create \"%s\" (IcingaHostSelfServiceForm.php:113)", name))
		return
	case exists && h.Key != "":
		writeError(w, http.StatusBadRequest, fmt.Sprintf("The host \"%s\" has already been registered (IcingaHostSelfServiceForm.php:120)", name))
		return
	case !storable(name, 255) || !storable(properties["display_name"], 255) ||
		!storable(properties["address"], 255) || !storable(properties["address6"], 45):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte("\n"))
		return
	}
	if !exists {
		h = Host{Name: name, Template: t.Name}
	}
	h.Key = newKey()
	replace(&h.DisplayName, properties["display_name"])
	replace(&h.Address, properties["address"])
	replace(&h.Address6, properties["address6"])
	d.hosts[strings.ToLower(h.Name)] = h
	if d.Registered != nil {
		d.Registered(h.Name)
	}
	writeJSON(w, http.StatusOK, h.Key)
}

// storable reports whether a column of that many characters takes s: MySQL's
// utf8 has at most three bytes for each.
func storable(s string, characters int) bool {
	return utf8.RuneCountInString(s) <= characters &&
		!strings.ContainsFunc(s, func(r rune) bool { return r > 0xffff })
}

func replace(old *string, value string) {
	if value != "" {
		*old = value
	}
}
