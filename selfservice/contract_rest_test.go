package selfservice_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/selfservice"
)

// An account is a user of Icinga Web, or a login that fails.
type account string

const (
	admin      account = "admin"       // may do everything
	controller account = "controller"  // may change hosts
	noModule   account = "no-module"   // lacks one of the controller's permissions
	noAPI      account = "no-api"      // likewise
	noHosts    account = "no-hosts"    // likewise
	wrongLogin account = "wrong login" // the administrator with another password
)

func (row contractRow) path() string {
	if row.as == "" {
		return "self-service/" + row.call
	}
	return row.call
}

func (d *contractDirector) controller(t *testing.T, as account) *selfservice.Controller {
	t.Helper()
	user, password := d.login(as)
	c, err := selfservice.NewController(d.url, selfservice.Options{RootCAs: d.roots}, user, secret.New(password))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// The calls of a Controller that rows make.
type restCall = func(ctx context.Context, c *selfservice.Controller, name string) error

func asksHost(ctx context.Context, c *selfservice.Controller, name string) error {
	h, err := c.Host(ctx, name)
	if err == nil && !strings.EqualFold(h.Name, name) {
		return fmt.Errorf("host %q, want %q", h.Name, name)
	}
	return err
}

func deletes(ctx context.Context, c *selfservice.Controller, name string) error {
	return c.DeleteHost(ctx, name)
}

func asksTicket(ctx context.Context, c *selfservice.Controller, name string) error {
	ticket, err := c.Ticket(ctx, name)
	if err == nil && ticket.IsZero() {
		return fmt.Errorf("no error and no ticket")
	}
	return err
}

func deploys(ctx context.Context, c *selfservice.Controller, _ string) error {
	_, err := c.Deploy(ctx)
	return err
}

func asksDeployment(ctx context.Context, c *selfservice.Controller, _ string) error {
	state, err := c.Deployment(ctx, unknownChecksum)
	if err == nil && state != selfservice.DeploymentUnknown {
		return fmt.Errorf("state %q", state)
	}
	return err
}

// findsEndpoint fails if what the Director says isn't what is wanted.
func findsEndpoint(want bool) restCall {
	return func(ctx context.Context, c *selfservice.Controller, name string) error {
		found, err := c.HasEndpoint(ctx, name)
		if err == nil && found != want {
			return fmt.Errorf("endpoint %q: found is %t", name, found)
		}
		return err
	}
}

// isAgent fails if what the Director says, if it does, isn't what is wanted.
func isAgent(want, wantSaid bool) restCall {
	return func(ctx context.Context, c *selfservice.Controller, name string) error {
		is, said, err := c.IsAgent(ctx, name)
		if err == nil && (is != want || said != wantSaid) {
			return fmt.Errorf("%q is an agent: %t, said: %t", name, is, said)
		}
		return err
	}
}

func creates(spec selfservice.HostSpec) restCall {
	return func(ctx context.Context, c *selfservice.Controller, name string) error {
		spec.Name = name
		return c.CreateHost(ctx, spec)
	}
}

// updates fails if what the Director says of changes isn't what is wanted.
func updates(spec selfservice.HostSpec, want bool) restCall {
	return func(ctx context.Context, c *selfservice.Controller, name string) error {
		changed, err := c.UpdateHost(ctx, name, spec)
		if err == nil && changed != want {
			return fmt.Errorf("changed is %t", changed)
		}
		return err
	}
}

const (
	unknownChecksum = "0123456789012345678901234567890123456789"
	named           = "name=$name"
	noObject        = "No such object available"
	badText         = `(gipfl\\\\Json\\\\JsonEncodeException: )?Malformed UTF-8 characters, possibly incorrectly encoded` // the class: 1.12.1
	anObject        = `(?s)\{\n.*"object_name": "$name",\n    "object_type": "object".*\}\n`
	newHost         = `{"object_name":"$name","object_type":"object","imports":["$templatename"]}`
	anotherDocument = `\{"status":"error","message":"Not found"\}`
)

func restRows() []contractRow {
	rows := [][]contractRow{restHostRows(), restRefusedRows(), restTicketRows(), restDeployRows(), restPermissionRows(), restEndpointRows(), restResolvedRows()}
	var all []contractRow
	for _, some := range rows {
		for _, row := range some {
			row.what = "REST: " + row.what
			if row.as == "" {
				row.as = admin
			}
			if row.body != "" {
				row.contentType = asJSON
			}
			all = append(all, row)
		}
	}
	return all
}

// agentHost has an address and a key.
func agentHost(t *testing.T, d *contractDirector, name string) string {
	key := newTestKey()
	d.setHost(t, name, contractHost{template: d.template, key: key, address: "192.0.2.1"})
	return key
}

func restNoAgent(t *testing.T, d *contractDirector, name string) string {
	d.setHost(t, name, contractHost{template: d.noAgent})
	return ""
}

func bareHost(t *testing.T, d *contractDirector, name string) string {
	d.setHost(t, name, contractHost{})
	return ""
}

// restHostRows are what is done with hosts.
func restHostRows() []contractRow {
	moved := selfservice.HostSpec{Address: "192.0.2.2"}
	same := selfservice.HostSpec{Address: "192.0.2.1"}
	return []contractRow{
		{what: "a new host", call: "host", body: newHost, status: 201, answer: anObject, after: isThere,
			client: &clientRow{rest: creates(selfservice.HostSpec{})}},
		{what: "one that exists", prepare: agentHost, call: "host", body: newHost, status: 422,
			answer: anError(`Trying to recreate icinga_host \(\\"$name\\"\)`),
			client: &clientRow{rest: creates(selfservice.HostSpec{}), is: selfservice.ErrHostExists, text: "Change that host"}},
		{what: "one that exists in lower case", prepare: agentHost, call: "host",
			body: strings.ReplaceAll(newHost, "$name", "$upper"), status: 422,
			answer: anError(`Trying to recreate icinga_host \(\\"$upper\\"\)`)},
		{what: "show", prepare: agentHost, method: http.MethodGet, call: "host", query: named, status: 200,
			answer: `(?s)\{\n    "address": "192.0.2.1",\n    "api_key": "$key",\n.*"object_name": "$name".*\}\n`, client: &clientRow{rest: asksHost}},
		{what: "show, name in upper case", prepare: agentHost, method: http.MethodGet, call: "host", query: "name=$upper", status: 200, answer: anObject},
		{what: "show, name with a space and more", suffix: " ä/?&+%#", prepare: agentHost, method: http.MethodGet, call: "host", query: named,
			status: 200, answer: anObject, client: &clientRow{rest: asksHost}},
		{what: "show, missing", method: http.MethodGet, call: "host", query: named, status: 404, answer: anError(noObject),
			client: &clientRow{rest: asksHost, is: selfservice.ErrNoHost, text: "director/filter"}},
		{what: "show, no name", method: http.MethodGet, call: "host", status: 500, answer: anError("Object is required")},
		{what: "show a template", method: http.MethodGet, call: "host", query: "name=$templatename", status: 200,
			answer: `(?s)\{\n.*"object_type": "template".*\}\n`},
		{what: "change", prepare: agentHost, call: "host", query: named, body: `{"address":"192.0.2.2"}`, status: 200, answer: anObject,
			after: keyStays, client: &clientRow{rest: updates(moved, true)}},
		{what: "change nothing", prepare: agentHost, call: "host", query: named, body: `{"address":"192.0.2.1"}`, status: 304, answer: "",
			after: keyStays, client: &clientRow{rest: updates(same, false)}},
		{what: "change, missing", call: "host", query: named, body: `{"address":"192.0.2.2"}`, status: 404, answer: anError(noObject),
			after: absent, client: &clientRow{rest: updates(moved, true), is: selfservice.ErrNoHost, text: "HTTP status 404"}},
		{what: "replace", prepare: agentHost, method: http.MethodPut, call: "host", query: named, body: `{"address":"192.0.2.1"}`, status: 200,
			answer: anObject, after: keyIsGone},
		{what: "replace, missing", method: http.MethodPut, call: "host", query: named, body: `{}`, status: 404, answer: anError(noObject), after: absent},
		{what: "delete", prepare: agentHost, method: http.MethodDelete, call: "host", query: named, status: 200, answer: anObject,
			after: absent, client: &clientRow{rest: deletes}},
		{what: "delete, missing", method: http.MethodDelete, call: "host", query: named, status: 404, answer: anError(noObject),
			client: &clientRow{rest: deletes, is: selfservice.ErrNoHost, text: "HTTP status 404"}},
		{what: "delete, no name", method: http.MethodDelete, call: "host", status: 500, answer: anError("Object is required")},
	}
}

// restRefusedRows are what can't be stored.
func restRefusedRows() []contractRow {
	refused := func(what, properties string, spec selfservice.HostSpec) contractRow {
		return contractRow{what: what, call: "host", status: 500, answer: aWebError(badText), after: absent,
			body:   `{"object_name":"$name","object_type":"object","imports":["$templatename"],` + properties + `}`,
			client: &clientRow{rest: creates(spec), text: "over 255 characters"}}
	}
	long := strings.Repeat("x", 256)
	return []contractRow{
		{what: "no JSON", call: "host", body: `{"object_name":`, status: 400, answer: anError("Invalid JSON: Syntax error")},
		{what: "no body", call: "host", status: 400, answer: anError("Invalid JSON: Syntax error")},
		{what: "no type", call: "host", body: `{"object_name":"$name","imports":["$templatename"]}`, status: 500, answer: aWebError(badText), after: absent},
		{what: "no name", call: "host", body: `{"object_type":"object","imports":["$templatename"]}`, status: 500, answer: aWebError(badText)},
		{what: "PATCH", prepare: agentHost, method: http.MethodPatch, call: "host", query: named, body: `{}`, status: 400, answer: anError("Unsupported method PATCH")},
		{what: "unknown property", call: "host", body: `{"object_name":"$name","object_type":"object","bogus":"x"}`, status: 500,
			answer: anError(`Trying to set invalid key \\"bogus\\"`), newer: &newerAnswer{422, anError(`Trying to set invalid key \\"bogus\\"`)}},
		{what: "unknown import", call: "host", body: `{"object_name":"$name","object_type":"object","imports":["$name"]}`, status: 404,
			answer: anError(`Unable to load parent referenced from host \\"$name\\", no such object available`), after: absent,
			client: &clientRow{rest: creates(selfservice.HostSpec{Imports: []string{"no-such-template"}}), text: `No such template: "no-such-template"`}},
		{what: "unknown import of a host", prepare: agentHost, call: "host", query: named, body: `{"imports":["no-such-template"]}`, status: 404,
			answer: anError(`Unable to load parent referenced from host \\"$name\\", no such object available`), after: keyStays,
			client: &clientRow{rest: updates(selfservice.HostSpec{Imports: []string{"no-such-template"}}, true), text: `No such template: "no-such-template"`}},
		{what: "unknown zone", call: "host", body: `{"object_name":"$name","object_type":"object","zone":"nowhere"}`, status: 500,
			answer: anError(`Unable to load object \(zone: nowhere\) referenced from host \\"$name\\", no such object available`), after: absent,
			client: &clientRow{rest: creates(selfservice.HostSpec{Zone: "nowhere"}), text: "Correct the name of the zone"}},
		refused("a key of 41 characters", `"api_key":"`+long[:41]+`"`, selfservice.HostSpec{Key: secret.New(long[:41])}),
		{what: "a template's key", call: "host", body: `{"object_name":"$name","object_type":"object","api_key":"$template"}`, status: 500,
			answer: aWebError(badText), after: absent},
		refused("a display name of 256 characters", `"display_name":"`+long+`"`, selfservice.HostSpec{DisplayName: long}),
		refused("an IPv6 address of 46 characters", `"address6":"`+long[:46]+`"`, selfservice.HostSpec{Address6: long[:46]}),
		refused("an emoji", `"display_name":"😀"`, selfservice.HostSpec{DisplayName: "😀"}),
	}
}

// restTicketRows: an error that is no 404 is followed by a second document.
func restTicketRows() []contractRow {
	const password = "Unable to authenticate, please check your API credentials"
	return []contractRow{
		{what: "ticket", prepare: agentHost, as: controller, method: http.MethodGet, call: "host/ticket", query: named, status: 200,
			answer: aKey, client: &clientRow{rest: asksTicket}},
		{what: "ticket, missing host", method: http.MethodGet, call: "host/ticket", query: named, status: 404, answer: anError(noObject),
			client: &clientRow{rest: asksTicket, is: selfservice.ErrNoHost, text: "HTTP status 404"}},
		{what: "ticket, no name", method: http.MethodGet, call: "host/ticket", status: 500, answer: anError("Object is required") + anotherDocument},
		{what: "ticket, no agent", prepare: restNoAgent, method: http.MethodGet, call: "host/ticket", query: named, status: 404,
			answer: anError(`The host \\"$name\\" is not an agent`), client: &clientRow{rest: asksTicket, is: selfservice.ErrNotAgent, text: "Icinga2 Agent"}},
		{what: "ticket, wrong password of the master", prepare: agentHost, master: wrongPassword, method: http.MethodGet, call: "host/ticket", query: named,
			status: 500, answer: anError(password) + anotherDocument, client: &clientRow{rest: asksTicket, text: "The Director's user for the Icinga API"}},
		{what: "ticket, master away", prepare: agentHost, master: unreachable, method: http.MethodGet, call: "host/ticket", query: named,
			status: 500, answer: anError(`CURL ERROR: .*`) + anotherDocument,
			client: &clientRow{rest: asksTicket, temporary: true, text: "is Icinga running there?"}},
		{what: "ticket, user of the master may not", prepare: agentHost, master: noPermission, method: http.MethodGet, call: "host/ticket", query: named,
			status: 404, answer: anError(`The requested path 'v1/actions/generate-ticket' could not be found.*`),
			client: &clientRow{rest: asksTicket, text: "actions/generate-ticket"}},
	}
}

func restDeployRows() []contractRow {
	status := "config/deployment-status"
	return []contractRow{
		{what: "deploy by GET", method: http.MethodGet, call: "config/deploy", status: 500, answer: aWebError("Unsupported method: GET")},
		{what: "deploy, not allowed", as: controller, call: "config/deploy", status: 403, answer: aWebError(`No permission for director\\/deploy`),
			client: &clientRow{rest: deploys, is: selfservice.ErrNoPermission, text: "No permission for director/deploy"}},
		{what: "deploy, wrong password of the master", master: wrongPassword, call: "config/deploy", status: 500,
			answer: aWebError("Unable to authenticate, please check your API credentials"), client: &clientRow{rest: deploys, text: "Unable to authenticate"}},
		{what: "deploy, master away", master: unreachable, call: "config/deploy", status: 500, answer: aWebError("CURL ERROR: .*"),
			client: &clientRow{rest: deploys, temporary: true, text: "is Icinga running there?"}},
		{what: "deployment, unknown", as: controller, method: http.MethodGet, call: status, query: "configs=" + unknownChecksum, status: 200,
			answer: `(?s)\{\n    "active_configuration": \{.*\},\n    "configs": \{\n        "` + unknownChecksum + `": "unknown"\n    \}\n\}\n`,
			client: &clientRow{rest: asksDeployment}},
		{what: "deployment, master away", master: unreachable, method: http.MethodGet, call: status, query: "configs=" + unknownChecksum, status: 500,
			answer: aWebError("CURL ERROR: .*"), client: &clientRow{rest: asksDeployment, temporary: true, text: "is Icinga running there?"}},
	}
}

// A newerAnswer is what Director 1.12.1 says instead, and 1.11.4 to an account
// that may not. The fake answers as 1.10.2.
type newerAnswer struct {
	status int
	answer string
}

// restPermissionRows: each permission's absence has a status of its own.
func restPermissionRows() []contractRow {
	lacks := func(a account, status int, message string) contractRow {
		return contractRow{what: string(a), as: a, prepare: agentHost, method: http.MethodGet, call: "host", query: named, status: status,
			answer: aWebError(strings.ReplaceAll(message, "/", `\\/`)),
			client: &clientRow{rest: asksHost, is: selfservice.ErrNoPermission, text: message}}
	}
	api := lacks(noAPI, 500, "You are not allowed to access this API")
	api.client.text = "The permission director/api is missing"
	hosts := lacks(noHosts, 403, "No permission for director/hosts")
	hosts.newer = &newerAnswer{500, aWebError(`Call to a member function getObjectName\(\) on null`)}
	hosts.client.text = "director/hosts"
	return []contractRow{
		lacks(noModule, 403, "No permission for module/director"),
		api,
		hosts,
		{what: "wrong password", as: wrongLogin, method: http.MethodGet, call: "host", query: named, status: 401, html: true, answer: "",
			client: &clientRow{rest: asksHost, is: selfservice.ErrLoginRejected, text: "Check the name and the password"}},
		{what: "another Accept", accept: "*/*", method: http.MethodGet, call: "host", query: named, status: 302, html: true, answer: ""},
	}
}

// restEndpointRows: endpoints are for administrators only.
func restEndpointRows() []contractRow {
	const adminOnly = "No permission for director/admin"
	return []contractRow{
		{what: "endpoint", method: http.MethodGet, call: "endpoint", query: "name=$endpoint", status: 200,
			answer: `(?s)\{\n.*"object_name": "$endpoint",\n    "object_type": "external_object",\n.*"zone": "master"\n\}\n`,
			client: &clientRow{rest: findsEndpoint(true)}},
		{what: "endpoint, name in upper case", method: http.MethodGet, call: "endpoint", query: "name=$upperendpoint", status: 200,
			answer: `(?s)\{\n.*"object_name": "$endpoint",.*\}\n`, client: &clientRow{rest: findsEndpoint(true)}},
		{what: "endpoint, missing", method: http.MethodGet, call: "endpoint", query: named, status: 404, answer: anError(noObject),
			client: &clientRow{rest: findsEndpoint(false)}},
		{what: "endpoint, a host's name", prepare: agentHost, method: http.MethodGet, call: "endpoint", query: named, status: 404, answer: anError(noObject),
			client: &clientRow{rest: findsEndpoint(false)}},
		{what: "endpoint, no name", method: http.MethodGet, call: "endpoint", status: 500, answer: anError("Object is required")},
		{what: "endpoint, not allowed", as: controller, method: http.MethodGet, call: "endpoint", query: "name=$endpoint", status: 403,
			answer: aWebError(strings.ReplaceAll(adminOnly, "/", `\\/`)),
			client: &clientRow{rest: findsEndpoint(true), is: selfservice.ErrNoPermission, text: adminOnly}},
	}
}

// restResolvedRows: what a host inherits, which its own object doesn't say.
func restResolvedRows() []contractRow {
	const resolved = named + "&resolved=1"
	return []contractRow{
		{what: "resolved, an agent", prepare: agentHost, as: controller, method: http.MethodGet, call: "host", query: resolved, status: 200, answer: anObject,
			holds: []string{`"has_agent": true`}, client: &clientRow{rest: isAgent(true, true)}},
		{what: "resolved, no agent", prepare: restNoAgent, as: controller, method: http.MethodGet, call: "host", query: resolved, status: 200, answer: anObject,
			holds: []string{`"has_agent": false`}, client: &clientRow{rest: isAgent(false, true)}},
		{what: "resolved, of no template", prepare: bareHost, as: controller, method: http.MethodGet, call: "host", query: resolved, status: 200, answer: anObject,
			lacks: []string{"has_agent"}, client: &clientRow{rest: isAgent(false, false)}},
		{what: "resolved, the template", as: controller, method: http.MethodGet, call: "host", query: "name=$templatename&resolved=1", status: 200,
			answer: `(?s)\{\n.*"object_type": "template".*\}\n`, holds: []string{`"has_agent": true`}},
		{what: "resolved, missing", as: controller, method: http.MethodGet, call: "host", query: resolved, status: 404, answer: anError(noObject),
			client: &clientRow{rest: isAgent(false, false), is: selfservice.ErrNoHost, text: "HTTP status 404"}},
		{what: "not resolved", prepare: agentHost, as: controller, method: http.MethodGet, call: "host", query: named, status: 200, answer: anObject,
			lacks: []string{"has_agent"}, client: &clientRow{rest: asksHost}},
	}
}
