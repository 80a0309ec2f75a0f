package selfservice_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"icinga-enroll/selfservice"
)

// noAgentHost is a host with a key that is no agent.
func noAgentHost(t *testing.T, d *contractDirector, name string) string {
	t.Helper()
	key := preparedKey()
	d.setHost(t, name, contractHost{template: d.noAgent, key: key})
	return key
}

// preparedHost was made by a controller, with its key.
func preparedHost(t *testing.T, d *contractDirector, name string) string {
	t.Helper()
	key := preparedKey()
	d.setHost(t, name, contractHost{template: d.template, key: key})
	return key
}

// calledHost is an agent to which its parents connect.
func calledHost(t *testing.T, d *contractDirector, name string) string {
	t.Helper()
	key := preparedKey()
	d.setHost(t, name, contractHost{template: d.template, key: key, masterShouldConnect: true})
	return key
}

func preparedKey() string { return strings.ToLower(rand.Text()) }

const (
	aTicket       = `"[0-9a-f]{40}"\n`
	withKey       = "key=$key"
	missing       = "Required parameter 'key' missing"
	rejectedKey   = `Got invalid API key \\"$key\\"`
	rejectedShort = "somebody dropped it or deleted the host"
)

func ticketRows() []contractRow {
	rows := []contractRow{
		{what: "ticket", prepare: registered, query: withKey, status: 200, answer: aTicket, client: &clientRow{}},
		{what: "ticket of a prepared host", prepare: preparedHost, query: withKey, status: 200, answer: aTicket, client: &clientRow{}},
		{what: "ticket without a key", query: "", status: 500, answer: anError(missing),
			client: &clientRow{is: selfservice.ErrKeyRejected, text: missing}},
		{what: "ticket with an empty key", query: "key=", status: 500, answer: anError(missing)},
		{what: "ticket with a template key", query: "key=$template", status: 404, answer: anError(`Got invalid API key \\"$template\\"`),
			client: &clientRow{is: selfservice.ErrKeyRejected, text: "HTTP status 404"}},
		{what: "ticket, key dropped", prepare: dropped, query: withKey, status: 404, answer: anError(rejectedKey),
			client: &clientRow{is: selfservice.ErrKeyRejected, text: rejectedShort}},
		{what: "ticket, host deleted", prepare: deleted, query: withKey, status: 404, answer: anError(rejectedKey),
			client: &clientRow{is: selfservice.ErrKeyRejected, text: rejectedShort}},
		{what: "ticket, no agent", prepare: noAgentHost, query: withKey, status: 404, answer: anError(`The host \\"$name\\" is not an agent`),
			client: &clientRow{is: selfservice.ErrNotAgent, text: `set "Icinga2 Agent" to "Yes"`}},
		{what: "ticket, wrong Accept", prepare: registered, query: withKey, accept: "*/*", status: 500, html: true, answer: anyPage},
		{what: "ticket, wrong API password", prepare: registered, master: wrongPassword, query: withKey, status: 500,
			answer: anError("Unable to authenticate, please check your API credentials"),
			client: &clientRow{text: "or its password, is wrong"}},
		{what: "ticket, master unreachable", prepare: registered, master: unreachable, query: withKey, status: 500,
			answer: anError("CURL ERROR: .*"),
			client: &clientRow{temporary: true, text: "is Icinga running there?"}},
		{what: "ticket, API user may not", prepare: registered, master: noPermission, query: withKey, status: 404,
			answer: anError("The requested path 'v1/actions/generate-ticket' could not be found.*"),
			client: &clientRow{text: "add actions/generate-ticket"}},
		{what: "ticket, no salt", prepare: registered, master: noSalt, query: withKey, status: 500,
			answer: anError("Ticket salt is not configured in ApiListener object"),
			client: &clientRow{text: "Set ticket_salt"}},
	}
	for i := range rows {
		rows[i].call = "ticket"
	}
	return rows
}

// A host object is JSON in a JSON string. Tests of the client check values.
const (
	anyObject  = `(?s)\{\n.*\n\}\n`
	fqdn       = `"fetch_agent_fqdn": true`
	hostObject = `"director_host_object": "\{\\"address\\":\\"&ipaddress&\\",\\"display_name\\":\\"&hostname(\.lowerCase)?&\\"\}"`
)

func parametersRows() []contractRow {
	ofHost := []string{`"accept_config": true`, `"agent_add_firewall_rule": false`, `"ca_server": "[^"]+"`,
		`"endpoints_config": \[\n +"[^;"]*;[0-9]+"\n +\]`, `"global_zones": \[\n +"director-global"\n +\]`,
		`"parent_endpoints": \[\n +"[^"]+"\n +\]`, `"parent_zone": "[^"]+"`}
	rows := []contractRow{
		{what: "parameters, template key", query: "key=$template", status: 200, answer: anyObject,
			holds: []string{fqdn, hostObject, `"fetch_agent_name": false`, `"transform_hostname": "[012]"`,
				`"flush_api_directory": false`, `"resolve_parent_host": "0"`},
			lacks: []string{"parent_zone", "parent_endpoints", "endpoints_config", "ca_server", "global_zones", "accept_config"}, client: &clientRow{}},
		{what: "parameters, template key of no agent's", query: "key=$noagent", status: 200, answer: anyObject,
			holds: []string{fqdn, hostObject}, lacks: []string{"parent_zone"}, client: &clientRow{}},
		{what: "parameters, host key", prepare: registered, query: withKey, status: 200, answer: anyObject,
			holds: append(ofHost, fqdn, hostObject), lacks: []string{"agent_listen_port"}, client: &clientRow{}},
		{what: "parameters, parents connect", prepare: calledHost, query: withKey, status: 200, answer: anyObject,
			holds: []string{`"agent_add_firewall_rule": true`, `"parent_endpoints": \[`}, lacks: []string{"endpoints_config"},
			client: &clientRow{}},
		{what: "parameters without a key", query: "", status: 500, answer: anError(missing),
			client: &clientRow{is: selfservice.ErrKeyRejected, text: missing}},
		{what: "parameters, unknown key", query: "key=nobody", status: 404, answer: anError(`Got invalid API key \\"nobody\\"`),
			client: &clientRow{is: selfservice.ErrKeyRejected, text: `"[redacted]"`}},
		{what: "parameters, key dropped", prepare: dropped, query: withKey, status: 404, answer: anError(rejectedKey),
			client: &clientRow{is: selfservice.ErrKeyRejected, text: rejectedShort}},
		{what: "parameters, no agent: two documents", prepare: noAgentHost, query: withKey, status: 403,
			answer: anError("$name is not configured for Icinga Agent usage") + anyObject, holds: []string{fqdn}, lacks: []string{"parent_zone"},
			client: &clientRow{is: selfservice.ErrNotAgent, text: `set "Icinga2 Agent" to "Yes"`}},
		{what: "parameters, wrong Accept", query: "key=$template", accept: "*/*", status: 500, html: true, answer: anyPage},
	}
	for i := range rows {
		rows[i].call = "powershell-parameters"
	}
	return append(rows, contractRow{what: "unknown call", call: "bogus", status: 404, answer: aWebError("Page not found.")})
}
