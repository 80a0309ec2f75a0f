package faults

import (
	"io"
	"strings"
	"time"
)

const page = "<!DOCTYPE html><html><head><title>Gateway</title></head><body><h1>Hello</h1></body></html>\n"

// httpFaults are in what the Director answers, or something before it.
var httpFaults = []fault{
	{
		name:     "reset before the answer",
		director: verdict{passes, "(reset by peer|closed before an answer came).*" + logs},
		lost:     true,
		http:     func(x *exchange) { x.reset() },
	},
	{
		name:     "closed before the answer",
		director: verdict{passes, "(reset by peer|closed before an answer came).*" + logs},
		lost:     true,
		http:     func(x *exchange) { x.hangUp() },
	},
	{
		name:     "reset, but done",
		director: verdict{passes, "(reset by peer|closed before an answer came).*" + logs},
		lost:     true,
		http:     func(x *exchange) { x.forward(); x.reset() },
	},
	{
		name:     "closed, but done",
		director: verdict{passes, "(reset by peer|closed before an answer came).*" + logs},
		lost:     true,
		http:     func(x *exchange) { x.forward(); x.hangUp() },
	},
	{
		name: "no answer", slow: true,
		director: verdict{passes, "no answer within .*Is the Director overloaded, or does a firewall drop packets"},
		lost:     true,
		http:     func(x *exchange) { x.forward(); silence(x) },
	},
	{
		name: "a byte of the answer a second", slow: true,
		director: verdict{passes, "no answer within .*Is the Director overloaded, or does a firewall drop packets"},
		lost:     true,
		http: func(x *exchange) {
			for _, b := range x.forward() {
				if _, err := x.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		},
	},
	{
		name:     "three seconds late",
		director: verdict{works, ""},
		http:     func(x *exchange) { time.Sleep(3 * time.Second); x.say(x.forward()) },
	},
	{
		name:     "cut in the header",
		director: verdict{passes, "transport connection broken.*" + logs},
		lost:     true,
		http:     func(x *exchange) { x.say(x.forward()[:30]) },
	},
	{
		name:     "cut in the body",
		director: verdict{passes, "the answer broke off: unexpected EOF.*" + logs},
		lost:     true,
		http:     func(x *exchange) { a := x.forward(); x.say(a[:len(a)-5]) },
	},
	{
		name:     "reset in the body",
		director: verdict{passes, "the answer broke off: .*reset by peer.*" + logs},
		lost:     true,
		http:     func(x *exchange) { a := x.forward(); _, _ = x.Write(a[:len(a)-5]); x.reset() },
	},
	{
		name:     "JSON cut short",
		director: verdict{fails, "not valid JSON.*" + noDirector},
		lost:     true,
		http:     body(func(b string) string { return b[:len(b)-5] }),
	},
	{
		name:     "nothing",
		director: verdict{fails, "the answer is empty.*" + noDirector},
		lost:     true,
		http:     body(func(string) string { return "" }),
	},
	{
		name:     "a list",
		director: verdict{fails, "HTTP status 200: .*(not a host key|not a ticket|not a JSON object|not a host object).*" + noDirector},
		lost:     true,
		http:     body(func(string) string { return "[]" }),
	},
	{
		name:     "a gigabyte",
		director: verdict{fails, "larger than 1 MiB.*" + noDirector},
		lost:     true,
		http:     endless,
	},
	{
		name:     "right, as text/html",
		director: verdict{works, ""},
		http:     typed("Content-Type: text/html"),
	},
	{
		name:     "right, without a type",
		director: verdict{works, ""},
		http:     typed(),
	},
	{
		name:     "SSH inside of TLS",
		director: verdict{passes, "malformed HTTP response.*" + noDirector},
		lost:     true,
		http:     func(x *exchange) { x.say([]byte("SSH-2.0-OpenSSH_9.2p1\r\n")) },
	},
	{
		name:     "200 with a page",
		director: verdict{fails, "(the answer is a web page|HTTP status 200: this is no status).*" + noDirector},
		http:     status(200, page),
	},
	{
		name:     "204",
		director: verdict{fails, "HTTP status 204.*" + noDirector},
		lost:     true,
		http:     status(204, ""),
	},
	{
		name:     "301",
		director: verdict{fails, "HTTP status 301: the server redirects to https://127.88[0-9.:]*/elsewhere/director. .*set director.url to that address"},
		http:     moved(301, "https"),
	},
	{
		name:     "302 to a login",
		director: verdict{fails, "HTTP status 302: .*/authentication/login. The server wants a person to log in"},
		http:     status(302, "", "Location: /icingaweb2/authentication/login?redirect=x"),
	},
	{
		name:     "303 to nowhere",
		director: verdict{fails, "HTTP status 303: .*without saying where to.*set director.url to where the Director really is"},
		http:     status(303, ""),
	},
	{
		name:     "307",
		director: verdict{fails, "HTTP status 307: .*set director.url to that address"},
		http:     moved(307, "https"),
	},
	{
		name:     "308 to http",
		director: verdict{fails, "HTTP status 308: the server redirects to http://127.88[0-9.:]*/elsewhere/director. .*set director.url to that address"},
		http:     moved(308, "http"),
	},
	{
		name:     "400 with nothing",
		director: verdict{fails, "HTTP status 400: the Director refused the request without a reason. (Observed for a name|The logs of)"},
		http:     status(400, "\n"),
	},
	{
		name:     "401",
		rest:     verdict{fails, "HTTP status 401: the user or the password is not accepted. Check the name and the password"},
		director: verdict{fails, "HTTP status 401: .*must let the self-service API through without a login"},
		http:     status(401, page, "WWW-Authenticate: Basic realm=\"proxy\""),
	},
	{
		name:     "403",
		rest:     verdict{fails, "HTTP status 403: .*must let an Icinga Web user through who logs in with Basic authentication"},
		director: verdict{fails, "HTTP status 403: .*must let the self-service API through without a login"},
		http:     status(403, page),
	},
	{
		name:     "404",
		director: verdict{fails, "HTTP status 404: .*" + noDirector},
		http:     status(404, page),
	},
	{
		name:     "407",
		director: verdict{fails, "HTTP status 407: .*" + noDirector},
		http:     status(407, page),
	},
	{
		name:     "429",
		director: verdict{passes, "HTTP status 429: .*too busy or closed for maintenance. It did not take the call: try again later"},
		http:     status(429, page, "Retry-After: 60"),
	},
	{
		name:     "500 with a page",
		director: verdict{passes, "HTTP status 500: the server broke down over the request. " + logs},
		lost:     true,
		http:     status(500, page),
	},
	{
		name:     "500 in words",
		director: verdict{passes, "HTTP status 500: SQLSTATE.*The log of Icinga Web on the Director's machine may say more"},
		http:     status(500, `{"error":"SQLSTATE[HY000] [2002] Connection refused"}`),
	},
	{
		name:     "502",
		director: verdict{passes, "HTTP status 502: the web server got no answer from the Director behind it. " + logs},
		lost:     true,
		http:     status(502, page),
	},
	{
		name:     "503",
		director: verdict{passes, "HTTP status 503: .*too busy or closed for maintenance. It did not take the call: try again later"},
		http:     status(503, page),
	},
	{
		name:     "503 with Retry-After",
		director: verdict{passes, "HTTP status 503: .*too busy or closed for maintenance. It did not take the call: try again later"},
		http:     status(503, page, "Retry-After: 120"),
	},
	{
		name:     "504, but done",
		director: verdict{passes, "HTTP status 504: the web server got no answer from the Director behind it. " + logs},
		lost:     true,
		http:     func(x *exchange) { x.forward(); x.say(httpAnswer(504, page, "Content-Type: text/html")) },
	},
}

func status(code int, text string, headers ...string) func(*exchange) {
	return func(x *exchange) { x.say(httpAnswer(code, text, append(headers, "Content-Type: text/html")...)) }
}

// moved redirects to the same call in another folder.
func moved(code int, scheme string) func(*exchange) {
	return func(x *exchange) {
		_, call, _ := strings.Cut(x.request.URL.RequestURI(), "/director/")
		x.say(httpAnswer(code, "", "Location: "+scheme+"://"+x.request.Host+"/elsewhere/director/"+call))
	}
}

// body has something else in the real answer.
func body(change func(string) string) func(*exchange) {
	return func(x *exchange) {
		_, text := x.answer()
		x.say(httpAnswer(x.good(), change(text), "Content-Type: application/json"))
	}
}

// typed has the real answer say that it is something else.
func typed(headers ...string) func(*exchange) {
	return func(x *exchange) {
		code, text := x.answer()
		x.say(httpAnswer(code, text, headers...))
	}
}

func endless(x *exchange) {
	x.forward()
	_, _ = io.WriteString(x, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
	piece := []byte(strings.Repeat(" ", 1<<20))
	for range 1024 {
		if _, err := x.Write(piece); err != nil {
			return
		}
	}
}
