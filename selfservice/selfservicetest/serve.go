package selfservicetest

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// page is what Icinga Web shows to whom it takes for a person.
const page = "<!DOCTYPE html>\n<html><head><title>Icinga Web</title></head><body></body></html>\n"

// serve answers every method alike, as the Director does.
func (d *Director) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // the caller is gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, "+", "%2B") // it is no space to a Director
	name := strings.TrimPrefix(r.URL.Path, basePath+"/")
	_, isREST := restCalls[name]
	name = strings.TrimPrefix(name, "self-service/")
	d.record(Call{Method: r.Method, Name: name, Host: r.URL.Query().Get("name"), Body: string(body), Connection: r.RemoteAddr})
	if d.Fault != nil && d.Fault(w, r) {
		return
	}
	isAPI := r.Header.Get("Accept") == "application/json"
	switch {
	case isREST:
		d.rest(w, r, name, body)
	case !strings.HasPrefix(r.URL.Path, "/icingaweb2/"):
		writeHTML(w, http.StatusNotFound)
	case name == "register-host" && !isAPI:
		writeHTML(w, http.StatusOK) // the form for a person
	case name == "register-host":
		d.register(w, r, body)
	case name == "ticket" && isAPI:
		d.ticket(w, r)
	case name == "powershell-parameters" && isAPI:
		d.parameters(w, r)
	case name == "ticket" || name == "powershell-parameters":
		writeHTML(w, http.StatusInternalServerError)
	case isAPI:
		writeWebError(w, http.StatusNotFound, "Page not found.")
	default:
		writeHTML(w, http.StatusNotFound)
	}
}

func (d *Director) record(c Call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, c)
}

func (d *Director) ticket(w http.ResponseWriter, r *http.Request) {
	key := r.URL.Query().Get("key")
	if key == "" {
		writeError(w, http.StatusInternalServerError, "Required parameter 'key' missing")
		return
	}
	d.mu.Lock()
	host, ok := d.hostOf(key)
	template := d.templateFor(host)
	d.mu.Unlock()
	if !ok {
		writeError(w, http.StatusNotFound, invalidKey(key))
		return
	}
	d.hostTicket(w, host, template)
}

// hostTicket gives a ticket to an agent.
func (d *Director) hostTicket(w http.ResponseWriter, host Host, template Template) {
	if template.NoAgent {
		writeError(w, http.StatusNotFound, fmt.Sprintf("The host \"%s\" is not an agent", host.Name))
		return
	}
	d.writeTicket(w, host.Name)
}

// writeTicket passes on what the master says. The Director turns its 404 into
// one of its own, every other failure into a 500.
func (d *Director) writeTicket(w http.ResponseWriter, name string) {
	makeTicket := d.Ticket
	if makeTicket == nil {
		makeTicket = saltedTicket
	}
	ticket, err := makeTicket(name)
	switch {
	case err == nil:
		writeJSON(w, http.StatusOK, ticket)
	case strings.Contains(err.Error(), "could not be found"):
		writeError(w, http.StatusNotFound, err.Error())
	default:
		writeError(w, http.StatusInternalServerError, err.Error())
	}
}

// invalidKey quotes the key, unlike %q, as it is.
func invalidKey(key string) string { return fmt.Sprintf("Got invalid API key \"%s\"", key) }

// saltedTicket makes tickets as an Icinga master does.
func saltedTicket(name string) (string, error) {
	key, err := pbkdf2.Key(sha1.New, name, []byte("the salt of a fake master"), 50000, 20)
	return hex.EncodeToString(key), err
}

func (d *Director) parameters(w http.ResponseWriter, r *http.Request) {
	key := r.URL.Query().Get("key")
	if key == "" {
		writeError(w, http.StatusInternalServerError, "Required parameter 'key' missing")
		return
	}
	d.mu.Lock()
	_, isTemplate := d.templateOf(key)
	host, isHost := d.hostOf(key)
	template := d.templateFor(host)
	d.mu.Unlock()
	answer := d.naming()
	switch {
	case isTemplate:
		writeJSON(w, http.StatusOK, answer)
	case !isHost:
		writeError(w, http.StatusNotFound, invalidKey(key))
	case template.NoAgent: // two documents, the second one as for a template
		writeError(w, http.StatusForbidden, host.Name+" is not configured for Icinga Agent usage")
		_, _ = w.Write(pretty(answer))
	default:
		d.addAgent(answer, template)
		writeJSON(w, http.StatusOK, answer)
	}
}

// naming is what a template key may know.
func (d *Director) naming() map[string]any {
	s := d.Settings
	method := map[string]string{"1": ".lowerCase", "2": ".upperCase"}[s.Transform]
	hostObject := map[string]string{"address": "&ipaddress&"}
	switch s.AgentName { // the display name is the name's other form
	case "fqdn":
		hostObject["display_name"] = "&hostname" + method + "&"
	case "hostname":
		hostObject["display_name"] = "&fqdn" + method + "&"
	}
	answer := map[string]any{
		"fetch_agent_name":          s.AgentName == "hostname",
		"fetch_agent_fqdn":          s.AgentName == "fqdn",
		"transform_hostname":        s.Transform,
		"flush_api_directory":       s.FlushAPIDirectory,
		"resolve_parent_host":       map[bool]string{false: "0", true: "1"}[s.ResolveParentHost],
		"install_framework_service": "0",
		"install_framework_plugins": "0",
		"director_host_object":      string(compact(hostObject)),
	}
	if s.ListenPort != 0 {
		answer["agent_listen_port"] = s.ListenPort
	}
	return answer
}

// addAgent adds what a host key may know.
func (d *Director) addAgent(answer map[string]any, t Template) {
	names, addresses := []string{}, []string{}
	for _, p := range t.Parents {
		names = append(names, p.Name)
		addresses = append(addresses, p.Host+";"+p.Port)
	}
	answer["agent_add_firewall_rule"] = t.MasterShouldConnect
	answer["global_zones"] = d.Settings.GlobalZones
	if !t.MasterShouldConnect {
		answer["endpoints_config"] = addresses
	}
	answer["parent_zone"] = t.Zone
	answer["ca_server"] = d.Settings.CAServer
	answer["parent_endpoints"] = names
	answer["accept_config"] = t.AcceptConfig
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(pretty(value))
}

// writeError is an error that the Director itself has found.
func writeError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]string{"error": message})
}

// writeWebError is an error that Icinga Web has caught: the second shape.
func writeWebError(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	answer := compact(struct {
		Status  string `json:"status"`
		Message string `json:"message"`
	}{"error", message})
	_, _ = w.Write(bytes.ReplaceAll(answer, []byte("/"), []byte(`\/`)))
}

func writeHTML(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, page)
}

func pretty(value any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "    ")
	_ = e.Encode(value) // of these types it can't fail
	return b.Bytes()
}

func compact(value any) []byte {
	var b bytes.Buffer
	_ = json.Compact(&b, pretty(value))
	return b.Bytes()
}
