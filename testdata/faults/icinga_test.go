package faults

import (
	"crypto/x509"
	"encoding/json"
	"io"
	"strings"
	"time"
)

// rpcFaults are in what a peer of the right name and CA answers to a request for
// a certificate.
var rpcFaults = []fault{
	{
		name:   "closed before the greeting",
		master: verdict{passes, icingaSilent},
		rpc:    func(d *dialogue) { d.hangUp() },
	},
	{
		name:   "reset before the greeting",
		master: verdict{passes, icingaSilent},
		rpc:    func(d *dialogue) { d.reset() },
	},
	{
		name:   "closed after the greeting",
		master: verdict{passes, icingaSilent},
		rpc:    func(d *dialogue) { d.say() },
	},
	{
		name: "silence after the greeting", slow: true,
		master: verdict{passes, "gave no answer in time: the server is busy, .*try again"},
		rpc: func(d *dialogue) {
			_, _ = io.WriteString(d, netstring(greeting))
			silence(d)
		},
	},
	{
		name: "the greeting for ever", slow: true,
		master: verdict{passes, "gave no answer in time: the server is busy, .*try again"},
		rpc: func(d *dialogue) {
			for {
				if _, err := io.WriteString(d, netstring(greeting)); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		},
	},
	{
		name:   "signed, but closed",
		master: verdict{passes, icingaSilent},
		rpc:    func(d *dialogue) { d.forward(); d.say() },
	},
	{
		name:   "signed, but reset",
		master: verdict{passes, icingaSilent},
		rpc:    func(d *dialogue) { d.forward(); d.reset() },
	},
	{
		name:   "cut in the answer",
		master: verdict{passes, icingaSilent},
		rpc: func(d *dialogue) {
			a := netstring(d.forward())
			_, _ = io.WriteString(d, a[:len(a)/2])
			d.hangUp()
		},
	},
	{
		name: "a byte of the answer a second", slow: true,
		master: verdict{passes, "gave no answer in time: the server is busy, .*try again"},
		rpc: func(d *dialogue) {
			for _, b := range netstring(d.forward()) {
				if _, err := d.Write([]byte(string(b))); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		},
	},
	{
		name:   "three seconds late",
		master: verdict{works, ""},
		rpc:    func(d *dialogue) { time.Sleep(3 * time.Second); d.say(d.forward()) },
	},
	{
		name:   "HTTP inside of TLS",
		master: verdict{fails, noIcinga},
		rpc: func(d *dialogue) {
			_, _ = io.WriteString(d, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			d.hangUp()
		},
	},
	{
		name:   "a netstring of 9 digits",
		master: verdict{fails, noIcinga},
		rpc:    func(d *dialogue) { _, _ = io.WriteString(d, "999999999:{"); d.hangUp() },
	},
	{
		name:   "a netstring without its end",
		master: verdict{fails, noIcinga},
		rpc:    func(d *dialogue) { _, _ = io.WriteString(d, "2:{};"); d.hangUp() },
	},
	{
		name:   "no JSON",
		master: verdict{fails, noIcinga},
		rpc:    func(d *dialogue) { d.forward(); d.say("not JSON") },
	},
	{
		name:   "JSON cut short",
		master: verdict{fails, noIcinga},
		rpc:    func(d *dialogue) { a := d.forward(); d.say(a[:len(a)-20]) },
	},
	{
		name:   "answer to another request",
		master: verdict{passes, icingaSilent},
		rpc:    func(d *dialogue) { d.say(strings.Replace(d.forward(), `"id":"1"`, `"id":"2"`, 1)) },
	},
	{
		name:   "no result",
		master: verdict{fails, "has no result: it may not know this request"},
		rpc:    func(d *dialogue) { d.say(`{"jsonrpc":"2.0","id":"1"}`) },
	},
	{
		name:   "an exception",
		master: verdict{fails, "broke something in the server, whose log says more: Error: bad allocation"},
		rpc:    func(d *dialogue) { d.say(`{"jsonrpc":"2.0","id":"1","error":"Error: bad allocation\n at 0x1"}`) },
	},
	{
		name:   "an unknown status",
		master: verdict{fails, "unknown status 7: what .Icinga's log on the master says more"},
		rpc:    func(d *dialogue) { d.say(result(map[string]any{"status_code": 7, "error": "what"})) },
	},
	{
		name:   "refused by the CA",
		master: verdict{fails, "the CA refused the request: Could not write the request. .Icinga's log on the master says more"},
		rpc: func(d *dialogue) {
			d.say(result(map[string]any{"status_code": 1, "error": "Could not write the request."}))
		},
	},
	{
		name: "pending", slow: true,
		master: verdict{waits, "is waiting for approval: run `icinga2 ca sign [0-9a-f]{64}` on the master"},
		rpc:    func(d *dialogue) { d.say(result(map[string]any{"status_code": 2, "error": "is pending"})) },
	},
	{
		name:   "a certificate that is none",
		master: verdict{fails, "the CA signed, but not in a form that can be used; look at its log"},
		rpc:    certified(func(d *dialogue, _ *x509.Certificate) string { return "-----BEGIN NOTHING-----" }),
	},
	{
		name:   "a certificate for another key",
		master: verdict{fails, notUsed + ".*for another key than the one at hand"},
		rpc: certified(func(d *dialogue, c *x509.Certificate) string {
			return asPEM(d.icinga.issue(c.Subject.CommonName, newKey().Public(), time.Hour, 30*day))
		}),
	},
	{
		name:   "a certificate for another name",
		master: verdict{fails, notUsed + `the certificate is for "other.example.com"`},
		rpc: certified(func(d *dialogue, c *x509.Certificate) string {
			return asPEM(d.icinga.issue("other.example.com", c.PublicKey, time.Hour, 30*day))
		}),
	},
	{
		name:   "a certificate by another CA",
		master: verdict{fails, notUsed + ".*not signed by a trusted CA"},
		rpc: certified(func(_ *dialogue, c *x509.Certificate) string {
			return asPEM(otherCA.issue(c.Subject.CommonName, c.PublicKey, time.Hour, 30*day))
		}),
	},
	{
		name:   "a certificate that has expired",
		master: verdict{fails, notUsed + ".*has expired on"},
		rpc: certified(func(d *dialogue, c *x509.Certificate) string {
			return asPEM(d.icinga.issue(c.Subject.CommonName, c.PublicKey, 2*day, -day))
		}),
	},
}

func result(r map[string]any) string {
	text, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": "1", "result": r})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// certified has another certificate than the CA's own in a good answer.
func certified(other func(d *dialogue, requested *x509.Certificate) string) func(*dialogue) {
	return func(d *dialogue) {
		var m struct {
			Params struct {
				Request string `json:"cert_request"`
			}
		}
		if err := json.Unmarshal([]byte(d.request), &m); err != nil {
			panic(err)
		}
		d.say(result(map[string]any{"status_code": 0, "cert": other(d, fromPEM(m.Params.Request)), "ca": asPEM(d.icinga.cert)}))
	}
}
