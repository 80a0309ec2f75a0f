package selfservice_test

import (
	"net/http"
	"strings"
	"testing"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/selfservice"
)

// What a row finds in the Director.

// byHand is a host that somebody has made, of the other template and without
// a key.
func byHand(t *testing.T, d *contractDirector, name string) string {
	t.Helper()
	d.setHost(t, name, contractHost{template: d.noAgent, displayName: "by hand", address: "192.0.2.1"})
	return ""
}

// registered is a host that has registered itself.
func registered(t *testing.T, d *contractDirector, name string) string {
	t.Helper()
	key, err := d.client(t).Register(t.Context(), secret.New(d.key), name, selfservice.HostProperties{})
	if err != nil {
		t.Fatal(err)
	}
	return key.Reveal()
}

func registeredInUpperCase(t *testing.T, d *contractDirector, name string) string {
	t.Helper()
	return registered(t, d, strings.ToUpper(name))
}

func dropped(t *testing.T, d *contractDirector, name string) string {
	t.Helper()
	key := registered(t, d, name)
	d.dropKey(t, name)
	return key
}

func deleted(t *testing.T, d *contractDirector, name string) string {
	t.Helper()
	key := registered(t, d, name)
	d.deleteHost(t, name)
	return key
}

// What a row leaves there.

func exists(t *testing.T, d *contractDirector, name string) {
	t.Helper()
	if h, ok := d.host(t, name); !ok || h.key == "" || h.template != d.template {
		t.Errorf("host %q is not registered: %t, %+v", name, ok, h)
	}
}

func absent(t *testing.T, d *contractDirector, name string) {
	t.Helper()
	if h, ok := d.host(t, name); ok {
		t.Errorf("there is a host %q: %+v", name, h)
	}
}

func hasProperties(want contractHost) func(*testing.T, *contractDirector, string) {
	return func(t *testing.T, d *contractDirector, name string) {
		t.Helper()
		h, _ := d.host(t, name)
		if h.key == "" {
			t.Error("the host has no key")
		}
		h.key, h.template = "", ""
		if h != want {
			t.Errorf("the host is %+v, want %+v", h, want)
		}
	}
}

func stillOfTemplate(t *testing.T, d *contractDirector, name string) {
	t.Helper()
	if h, _ := d.host(t, name); h.template != d.noAgent {
		t.Errorf("the host's template became %q", h.template)
	}
}

func registerRows() []contractRow {
	rows := append(registerKeyRows(), append(registerNameRows(), registerBodyRows()...)...)
	rows = append(rows, registerExistingRows()...)
	for i := range rows {
		rows[i].call = "register-host"
		if rows[i].body != "" && rows[i].contentType == "" {
			rows[i].contentType = asJSON
		}
	}
	return append(rows, registerProtocolRows()...)
}

func registerKeyRows() []contractRow {
	return []contractRow{
		{what: "success", query: registers, body: `{}`, status: 200, answer: aKey, after: exists, client: &clientRow{}},
		{what: "unknown key", query: "key=nobody&name=$name", body: `{}`, status: 404,
			answer: anError(`Got invalid API key \\"nobody\\"`), after: absent,
			client: &clientRow{is: selfservice.ErrKeyRejected, text: `"[redacted]"`}},
		{what: "host key for a template key", prepare: registered, query: "key=$key&name=$name-2", body: `{}`, status: 404,
			answer: anError(`Got invalid API key \\"$key\\"`),
			client: &clientRow{is: selfservice.ErrKeyRejected, text: "a host's own key registers nothing"}},
		{what: "template that is no agent", query: "key=$noagent&name=$name", body: `{}`, status: 404,
			answer: anError(`Got valid API key \\"$noagent\\", but template is not for Agents`), after: absent,
			client: &clientRow{is: selfservice.ErrNotAgent, text: `set "Icinga2 Agent" to "Yes"`}},
		{what: "key in the body", query: "name=$name", body: `{"key":"$template"}`, status: 200, answer: aKey, after: exists},
		{what: "unknown key in the body", query: "name=$name", body: `{"key":"nobody"}`, status: 400,
			answer: anError(`Got invalid API key \\"nobody\\" \(IcingaHost.php:[0-9]+\)`), after: absent},
		{what: "no key", query: "name=$name", body: `{}`, status: 400, answer: anError("key is required"), after: absent,
			client: &clientRow{text: "key is required"}},
		{what: "neither name nor key", query: "", body: `{}`, status: 400,
			answer: anError("Missing parameters: object_name, key"),
			client: &clientRow{text: "Missing parameters"}},
	}
}

func registerNameRows() []contractRow {
	long := strings.Repeat("x", 256)
	rows := []contractRow{
		{what: "no name", query: "key=$template", body: `{}`, status: 400, answer: anError("object_name is required"),
			client: &clientRow{text: "object_name is required"}},
		{what: "empty name", query: "key=$template&name=", body: `{}`, status: 400, answer: anError("object_name is required")},
		{what: "name 0", query: "key=$template&name=0", body: `{}`, status: 400, answer: anError("object_name is required"),
			client: &clientRow{text: "object_name is required"}},
		{what: "name in the body", query: "key=$template", body: `{"object_name":"$name"}`, status: 200, answer: aKey, after: exists},
		{what: "name in query and body", query: registers, body: `{"object_name":"$name-2"}`, status: 200, answer: aKey, after: exists},
		{what: "name over 255", suffix: long, query: registers, body: `{}`, status: 400, answer: `\n`, after: absent,
			client: &clientRow{text: "over 255 characters"}},
		{what: "emoji in the name", suffix: "😀", query: registers, body: `{}`, status: 400, answer: `\n`, after: absent,
			client: &clientRow{text: "such as an emoji"}},
	}
	for _, suffix := range []string{" a b", "-ü", "-日本", `/a\b`, `"a'b`, "a\nb", "*", "%41&name=x#"} {
		rows = append(rows, contractRow{what: "name with " + suffix, suffix: suffix, query: registers, body: `{}`,
			status: 200, answer: aKey, after: exists, client: &clientRow{}})
	}
	return rows
}

func registerBodyRows() []contractRow {
	long := strings.Repeat("x", 256)
	longAddress6 := strings.Repeat("1", 46)
	all := contractHost{displayName: `the "display" name <ü>`, address: "192.0.2.7", address6: "2001:db8::7"}
	notAnArray := aWebError("Zend_Form::isValid expects an array")
	return []contractRow{
		{what: "properties", query: registers,
			body:   `{"display_name":"the \"display\" name <ü>","address":"192.0.2.7","address6":"2001:db8::7"}`,
			status: 200, answer: aKey, after: hasProperties(all),
			client: &clientRow{properties: selfservice.HostProperties{DisplayName: all.displayName, Address: all.address, Address6: all.address6}}},
		{what: "unknown properties", query: registers, body: `{"address":"192.0.2.7","vars":{"a":1},"imports":["x"],"zone":"y","bogus":1}`,
			status: 200, answer: aKey, after: hasProperties(contractHost{address: "192.0.2.7"})},
		{what: "display name over 255", query: registers, body: `{"display_name":"` + long + `"}`, status: 400, answer: `\n`, after: absent,
			client: &clientRow{properties: selfservice.HostProperties{DisplayName: long}, text: "over 255 characters"}},
		{what: "address over 255", query: registers, body: `{"address":"` + long + `"}`, status: 400, answer: `\n`, after: absent,
			client: &clientRow{properties: selfservice.HostProperties{Address: long}, text: "over 255 characters"}},
		{what: "address6 over 45", query: registers, body: `{"address6":"` + longAddress6 + `"}`, status: 400, answer: `\n`, after: absent,
			client: &clientRow{properties: selfservice.HostProperties{Address6: longAddress6}, text: "an IPv6 address over 45"}},
		{what: "invalid JSON", query: registers, body: `{`, status: 500, answer: aWebError(`Syntax error: '\{'`), after: absent},
		{what: "invalid JSON as text", query: registers, body: `{`, contentType: "text/plain", status: 200, answer: aKey, after: exists},
		{what: "empty body as JSON", query: registers, contentType: asJSON, status: 500, answer: aWebError(`Syntax error: ''`), after: absent},
		{what: "empty body", query: registers, status: 200, answer: aKey, after: exists},
		{what: "null property", query: registers, body: `{"address":null}`, status: 500,
			answer: aWebError(`Invalid value passed to setPost\(\); must be either array of values or key\\?/value pair`), after: absent},
		{what: "body null", query: registers, body: `null`, status: 500, answer: notAnArray, after: absent},
		{what: "body a string", query: registers, body: `"text"`, status: 500, answer: notAnArray, after: absent},
		{what: "body an empty array", query: registers, body: `[]`, status: 200, answer: aKey, after: exists},
	}
}

func registerExistingRows() []contractRow {
	already := anError(`The host \\"$name\\" has already been registered \(IcingaHostSelfServiceForm.php:[0-9]+\)`)
	return []contractRow{
		{what: "made by hand", prepare: byHand, query: registers, body: `{"address":"192.0.2.9"}`, status: 200, answer: aKey,
			after:  hasProperties(contractHost{displayName: "by hand", address: "192.0.2.9"}),
			client: &clientRow{properties: selfservice.HostProperties{Address: "192.0.2.9"}}},
		{what: "made by hand, nothing sent", prepare: byHand, query: registers, body: `{}`, status: 200, answer: aKey,
			after:  hasProperties(contractHost{displayName: "by hand", address: "192.0.2.1"}),
			client: &clientRow{}},
		{what: "made by hand, of another template", prepare: byHand, query: registers, body: `{}`, status: 200, answer: aKey,
			after: stillOfTemplate},
		{what: "already registered", prepare: registered, query: registers, body: `{}`, status: 400, answer: already,
			client: &clientRow{is: selfservice.ErrAlreadyRegistered, text: `press "Drop Self Service API key"`}},
		{what: "already registered in upper case", prepare: registeredInUpperCase, query: registers, body: `{}`, status: 400, answer: already,
			client: &clientRow{is: selfservice.ErrAlreadyRegistered, text: "already been registered"}},
		{what: "already registered in lower case", prepare: registered, query: "key=$template&name=$upper", body: `{}`, status: 400,
			answer: strings.ReplaceAll(already, "$name", "$upper"),
			client: &clientRow{is: selfservice.ErrAlreadyRegistered, text: "already been registered"}},
		{what: "registered, key dropped", prepare: dropped, query: registers, body: `{}`, status: 200, answer: aKey, after: exists, client: &clientRow{}},
		{what: "registered, deleted", prepare: deleted, query: registers, body: `{}`, status: 200, answer: aKey, after: exists, client: &clientRow{}},
		{what: "a template's name", query: "key=$template&name=$templatename", body: `{}`, status: 400,
			answer: anError(`You are not allowed to create \\"$templatename\\" \(IcingaHostSelfServiceForm.php:[0-9]+\)`),
			client: &clientRow{text: "give the host another one"}},
	}
}

// registerProtocolRows: every method registers; a wrong Accept gets the form
// for a person, and nothing is registered.
func registerProtocolRows() []contractRow {
	var rows []contractRow
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch} {
		rows = append(rows, contractRow{what: method + " registers", method: method, call: "register-host",
			query: registers, status: 200, answer: aKey, after: exists})
	}
	rows = append(rows, contractRow{what: "HEAD registers, too", method: http.MethodHead, call: "register-host",
		query: registers, status: 200, answer: "", after: exists})
	for _, accept := range []string{"*/*", "application/json, text/plain", "application/json;q=1", "Application/JSON"} {
		rows = append(rows, contractRow{what: "Accept " + accept, call: "register-host", accept: accept,
			query: registers, contentType: asJSON, body: `{}`, status: 200, html: true, answer: anyPage, after: absent})
	}
	return rows
}
