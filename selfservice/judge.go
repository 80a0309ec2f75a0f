package selfservice

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// judge returns the JSON of a good answer, or what the answer means otherwise.
// The JSON is nil where the Director had nothing to change.
//
// Directors before 1.8 send errors with status 200 too, so the body is looked
// at whatever the status is.
func (c *Client) judge(k call, res *http.Response, body []byte) ([]byte, error) {
	message, refused := errorMessage(body)
	switch {
	case k.unchanged && res.StatusCode == http.StatusNotModified:
		return nil, nil
	case res.StatusCode/100 == 3:
		return nil, c.redirected(k, res)
	case res.StatusCode/100 != 2 || refused:
		return nil, c.refused(k, res, body, message)
	case res.StatusCode != cmp.Or(k.good, http.StatusOK):
		return nil, c.unreadable(k, res.StatusCode, errors.New("this is no status that a Director sends"))
	case json.Valid(body):
		return body, nil
	case isHTML(res, body):
		// A web server's page, a login form of a proxy. A Director with another
		// idea of Accept answers so too, and creates nothing.
		e := c.newError(k, "the answer is a web page, not a Director's")
		e.Status = res.StatusCode
		e.advice = adviceNotDirector
		return nil, e
	case len(bytes.TrimSpace(body)) == 0:
		return nil, c.unreadable(k, res.StatusCode, errors.New("the answer is empty"))
	}
	return nil, c.unreadable(k, res.StatusCode, errors.New("the answer is not valid JSON"))
}

func isHTML(res *http.Response, body []byte) bool {
	return strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") ||
		bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

// errorMessage returns the text of an error answer: {"error": text}, or
// {"status": "error", "message": text}. A second document after it, which a
// Director sends with some errors, is not read.
func errorMessage(body []byte) (message string, ok bool) {
	var answer struct {
		Error   any    `json:"error"`
		Status  string `json:"status"`
		Message string `json:"message"`
	}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&answer); err != nil {
		return "", false
	}
	if text, isText := answer.Error.(string); isText {
		return text, true
	}
	return answer.Message, answer.Error != nil || answer.Status == "error"
}

// refused judges an answer that is an error: first the statuses that say
// nothing about the request, then the Director's own words, then the status.
func (c *Client) refused(k call, res *http.Response, body []byte, message string) *Error {
	e := c.newError(k, message)
	e.Status = res.StatusCode
	e.RetryAfter = retryAfter(res.Header.Get("Retry-After"))
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusRequestTimeout:
		e.setMessage("the server is too busy or closed for maintenance")
		e.advice = "It did not take the call: try again later."
		e.temporary = true
		return e
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		// A proxy's words, whatever shape they have: the Director behind it
		// may be at work.
		e.setMessage("the web server got no answer from the Director behind it")
		e.unknownOutcome(k)
		return e
	}
	switch {
	case message != "":
		e.adviseMessage(message, c.dialect())
	case c.login != nil && res.StatusCode == http.StatusUnauthorized:
		e.loginRejected()
	default:
		e.adviseStatus(k, len(bytes.TrimSpace(body)) == 0, c.dialect())
	}
	return e
}

// setMessage describes an answer that brought no text of its own.
func (e *Error) setMessage(s string) {
	if e.Message == "" {
		e.Message = s
	}
}

// unknownOutcome is a server's error that does not tell whether the call was
// carried out before it.
func (e *Error) unknownOutcome(k call) {
	e.temporary = true
	e.advice = adviceServerError
	if k.once {
		e.lost()
	}
}

// adviseStatus judges an answer without an error text that is a Director's.
func (e *Error) adviseStatus(k call, empty bool, d dialect) {
	e.setMessage("the answer is no Director's: " + strings.ToLower(http.StatusText(e.Status)))
	switch {
	case e.Status >= http.StatusInternalServerError:
		e.Message = "the server broke down over the request"
		e.unknownOutcome(k)
	case e.Status == http.StatusBadRequest && empty:
		e.Message = "the Director refused the request without a reason"
		e.advice = adviceServerError
		if k.once { // it had a name
			e.advice = d.empty
		}
	case e.Status == http.StatusNotFound:
		e.advice = adviceNotDirector
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		e.advice = d.forbidden
	default:
		e.advice = adviceNotDirector
	}
}

// adviseMessage judges the Director's own words. An internal error that it
// reports in words comes from its database or its master and may pass.
func (e *Error) adviseMessage(message string, d dialect) {
	for _, v := range d.verdicts {
		if !v.message.matches(message) {
			continue
		}
		if v.is != nil {
			e.causes = append(e.causes, v.is)
		}
		e.temporary, e.advice = v.temporary, v.advice
		return
	}
	e.temporary = e.Status >= http.StatusInternalServerError
	switch e.Status {
	case http.StatusNotFound:
		e.advice = adviceNotDirector
	case http.StatusUnauthorized, http.StatusForbidden:
		e.advice = d.forbidden
	default:
		e.advice = "The log of Icinga Web on the Director's machine may say more."
	}
}

// A verdict is what an error text of the Director means. The texts are matched
// from their beginning, since they quote names that others have chosen.
type verdict struct {
	message   re
	is        error
	temporary bool
	advice    string
}

// A dialect is what differs in the answers of the Director's two APIs.
type dialect struct {
	verdicts  []verdict
	forbidden string // what to do about a 401 or 403 that doesn't say more
	empty     string // about a 400 without a body
	carries   string // the secret in a request
}

func (c *Client) dialect() dialect {
	if c.login != nil {
		return dialect{verdicts: restVerdicts, forbidden: adviceRESTForbidden, empty: adviceServerError, carries: "password"}
	}
	return dialect{verdicts: selfServiceVerdicts, forbidden: adviceForbidden, empty: adviceEmpty, carries: "key"}
}

// The texts were observed on Director 1.10.2 with Icinga 2.13.6.
var selfServiceVerdicts = append([]verdict{
	{message: re(`^Got invalid API key "`), is: ErrKeyRejected, advice: adviceKey},
	{message: re(`^Required parameter 'key' missing`), is: ErrKeyRejected, advice: adviceKey},
	{message: re(`^Got valid API key ".*", but template is not for Agents`), is: ErrNotAgent, advice: adviceNotAgent},
	{message: re(` is not configured for Icinga Agent usage$`), is: ErrNotAgent, advice: adviceNotAgent},
	{message: re(`^The host ".*" has already been registered`), is: ErrAlreadyRegistered, advice: adviceRegistered},
	{message: re(`^Trying to recreate icinga_host `), is: ErrAlreadyRegistered, advice: "Somebody else registered this name at the same moment. " + adviceRegistered},
	{message: re(`^You are not allowed to create "`), advice: "The Director has a template of this name: give the host another one (host.name)."},
	{message: re(`^Could not resolve target Zone`), advice: "In the Director give the host, or its template, a zone that exists."},
}, masterVerdicts...)

// masterVerdicts come from the way to the master and from making a ticket,
// whoever asks for it.
var masterVerdicts = []verdict{
	{message: re(`^The host ".*" is not an agent`), is: ErrNotAgent, advice: adviceNotAgent},
	{message: re(`^CURL ERROR: `), temporary: true, advice: "The Director does not reach the Icinga API of its master: is Icinga running there?"},
	{message: re(`^Unable to authenticate`), advice: "The Director's user for the Icinga API, or its password, is wrong: correct it in the Director (Infrastructure, the deployment endpoint's API user)."},
	{message: re(`v1/actions/generate-ticket' could not be found`), advice: "The Director's user for the Icinga API may not make tickets: add actions/generate-ticket to the permissions of that ApiUser on the master."},
	{message: re(`^Ticket salt is not configured`), advice: "Set ticket_salt in the ApiListener of the Icinga master (the constant TicketSalt) and reload it."},
}

// re is a pattern in which a dot stands for a newline, too. It is compiled when an
// error is judged: most runs have none, and a daemon need not keep it.
type re string

func (r re) matches(text string) bool {
	return regexp.MustCompile(`(?s)` + string(r)).MatchString(text)
}

const (
	adviceLost = "The Director may have registered the host all the same, and gives its key only once. " +
		"If the host is there: open it in the Director, tab \"Agent\", and press \"Drop Self Service API key\"; " +
		"without that it cannot be registered again."
	adviceRegistered = "Its key is known only to who registered it. If that is another machine, give this one a name of its own. To register it anew: open the host in the Director, " +
		"tab \"Agent\", and press \"Drop Self Service API key\"; an agent that still uses the old key loses access."
	adviceKey = "A template key is shown in the Director on the host template's tab \"Agent\"; a host's own key registers nothing. " +
		"If this host's own key was refused, somebody dropped it or deleted the host."
	adviceNotAgent    = "In the Director set \"Icinga2 Agent\" to \"Yes\" in the host's template."
	adviceNotDirector = "Does director.url lead to an Icinga Director, such as " + exampleURL + ", with nothing before it that answers by itself?"
	adviceServerError = "The logs of the Director's web server and PHP may say why."
	adviceForbidden   = "Something before the Director refuses the call: its web server must let the self-service API through without a login."
	adviceEmpty       = "Observed for a name or display name over 255 characters, an IPv6 address over 45, a character the Director's database does not store (such as an emoji), " +
		"and for a name that somebody else registered at the same moment."
)

// maxRetryAfter keeps a mistaken header from silencing a node for years.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads a Retry-After header, seconds or a date; 0 if it is neither
// or lies in the past.
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return max(0, min(time.Until(at), maxRetryAfter))
}
