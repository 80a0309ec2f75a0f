package selfservicetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// User is a user of Icinga Web, as whom the REST API is called.
type User struct {
	Name, Password string
	Permissions    []string // such as "director/hosts"; nil: all
}

func (u User) may(permission string) bool {
	return u.Permissions == nil || slices.Contains(u.Permissions, permission)
}

// SetUser adds u, or replaces the user of its name.
func (d *Director) SetUser(u User) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.users[u.Name] = u
}

// restCalls are the paths of the REST API, and the permissions they need.
var restCalls = map[string]string{
	"host":                     "director/hosts",
	"host/ticket":              "director/hosts",
	"endpoint":                 "director/admin",
	"config/deploy":            "director/deploy",
	"config/deployment-status": "",
}

// rest answers a call of the REST API. It first looks at who calls: Icinga Web
// does, then the Director, then the called part of it.
func (d *Director) rest(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	name, password, _ := r.BasicAuth()
	d.mu.Lock()
	user, known := d.users[name]
	d.mu.Unlock()
	needs := restCalls[path]
	switch {
	case r.Header.Get("Accept") != "application/json":
		w.Header().Set("Location", "/icingaweb2/authentication/login?redirect=director")
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		w.WriteHeader(http.StatusFound)
	case !known || user.Password != password:
		w.Header().Set("WWW-Authenticate", `Basic realm="Icinga Web 2"`)
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		w.WriteHeader(http.StatusUnauthorized)
	case !user.may("module/director"):
		writeWebError(w, http.StatusForbidden, "No permission for module/director")
	case !user.may("director/api"):
		writeWebError(w, http.StatusInternalServerError, "You are not allowed to access this API")
	case path == "config/deploy" && r.Method != http.MethodPost:
		writeWebError(w, http.StatusInternalServerError, "Unsupported method: "+r.Method)
	case needs != "" && !user.may(needs):
		writeWebError(w, http.StatusForbidden, "No permission for "+needs)
	case path == "config/deploy":
		d.deploy(w)
	case path == "config/deployment-status":
		d.deploymentStatus(w, r.URL.Query().Get("configs"))
	case path == "host/ticket":
		d.restTicket(w, r)
	case path == "endpoint":
		d.restEndpoint(w, r)
	default:
		d.restHost(w, r, body)
	}
}

// restEndpoint shows a parent of the templates' zones.
func (d *Director) restEndpoint(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if !query.Has("name") {
		writeError(w, http.StatusInternalServerError, "Object is required")
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.templates {
		for _, p := range t.Parents {
			if strings.EqualFold(p.Name, query.Get("name")) {
				writeJSON(w, http.StatusOK, map[string]string{"object_name": p.Name, "object_type": "external_object",
					"host": p.Host, "port": p.Port, "log_duration": "86400", "zone": t.Zone})
				return
			}
		}
	}
	writeError(w, http.StatusNotFound, noObject)
}

// restTicket writes a second document after an error that is no 404.
func (d *Director) restTicket(w http.ResponseWriter, r *http.Request) {
	const second = `{"status":"error","message":"Not found"}`
	recorded := &recorder{ResponseWriter: w}
	d.mu.Lock()
	h, isHost := d.hosts[strings.ToLower(r.URL.Query().Get("name"))]
	template := d.templateFor(h)
	d.mu.Unlock()
	switch {
	case !r.URL.Query().Has("name"):
		writeError(recorded, http.StatusInternalServerError, "Object is required")
	case !isHost:
		writeError(recorded, http.StatusNotFound, noObject)
	default:
		d.hostTicket(recorded, h, template)
	}
	if recorded.status == http.StatusInternalServerError {
		_, _ = w.Write([]byte(second))
	}
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

const noObject = "No such object available"

func (d *Director) restHost(w http.ResponseWriter, r *http.Request, body []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	query := r.URL.Query()
	name := strings.ToLower(query.Get("name"))
	h, isHost := d.hosts[name]
	template, isTemplate := d.templates[name]
	var properties map[string]any
	switch {
	case !slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete}, r.Method):
		writeError(w, http.StatusBadRequest, "Unsupported method "+r.Method)
	case (len(body) > 0 || r.Method == http.MethodPost) && json.Unmarshal(body, &properties) != nil:
		writeError(w, http.StatusBadRequest, "Invalid JSON: Syntax error")
	case r.Method == http.MethodPost && !query.Has("name"):
		d.restCreate(w, properties)
	case !query.Has("name"):
		writeError(w, http.StatusInternalServerError, "Object is required")
	case isHost && r.Method == http.MethodGet && query.Get("resolved") != "":
		writeJSON(w, http.StatusOK, d.resolved(h))
	case isHost:
		d.restChange(w, r.Method, h, properties)
	case isTemplate && r.Method == http.MethodGet:
		writeJSON(w, http.StatusOK, template.plain())
	case isTemplate: // what the real one does with it nobody needs yet
		writeError(w, http.StatusNotImplemented, "selfservicetest: a template can't be changed by REST")
	default:
		writeError(w, http.StatusNotFound, noObject)
	}
}

// resolved is h with what it inherits, of which its template's key is, too.
func (d *Director) resolved(h Host) map[string]any {
	plain := h.plain()
	delete(plain, "imports")
	plain["fields"] = []any{}
	if t, ok := d.templates[strings.ToLower(h.Template)]; ok {
		plain["has_agent"] = !t.NoAgent
		if t.Key != "" && h.Key == "" {
			plain["api_key"] = t.Key
		}
	}
	return plain
}

func (d *Director) restCreate(w http.ResponseWriter, properties map[string]any) {
	var h Host
	if refused := d.apply(&h, properties); refused != nil {
		refused(w)
		return
	}
	key := strings.ToLower(h.Name)
	_, isHost := d.hosts[key]
	_, isTemplate := d.templates[key]
	switch {
	case h.Name == "" || properties["object_type"] == nil:
		writeDatabaseError(w)
	case isHost || isTemplate:
		writeError(w, http.StatusUnprocessableEntity, fmt.Sprintf("Trying to recreate icinga_host (\"%s\")", h.Name))
	default:
		d.hosts[key] = h
		writeJSON(w, http.StatusCreated, h.plain())
	}
}

// restChange answers a call about a host that is there. POST leaves what isn't
// sent as it is, PUT empties it.
func (d *Director) restChange(w http.ResponseWriter, method string, old Host, properties map[string]any) {
	h := old
	h.Vars = maps.Clone(old.Vars)
	switch {
	case d.poisoned(old):
		writeInvalidParent(w, old)
		return
	case method == http.MethodGet:
		plain := old.plain()
		plain["fields"] = []any{}
		writeJSON(w, http.StatusOK, plain)
		return
	case method == http.MethodDelete:
		delete(d.hosts, strings.ToLower(old.Name))
		writeJSON(w, http.StatusOK, old.plain())
		return
	case method == http.MethodPut:
		h = Host{Name: old.Name}
	}
	if refused := d.apply(&h, properties); refused != nil {
		refused(w)
		return
	}
	if reflect.DeepEqual(h.plain(), old.plain()) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	delete(d.hosts, strings.ToLower(old.Name))
	d.hosts[strings.ToLower(h.Name)] = h
	writeJSON(w, http.StatusOK, h.plain())
}

// poisoned reports whether h imports a host as if it were a template. The
// Director lets that be made, and then can't load it any more.
func (d *Director) poisoned(h Host) bool {
	return slices.ContainsFunc(h.templates(), func(name string) bool {
		_, isTemplate := d.templates[strings.ToLower(name)]
		return !isTemplate
	})
}

func writeInvalidParent(w http.ResponseWriter, h Host) {
	writeWebError(w, http.StatusInternalServerError, fmt.Sprintf("Got invalid parent id 5 for host \"%s\"", h.Name))
}
