package selfservice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"icinga-enroll/enroll/secret"
)

// The calls, as the Director names them in its URLs.
const (
	callRegister   = "register-host"
	callParameters = "powershell-parameters"
	callTicket     = "ticket"
)

// maxBody limits the body of an answer, in bytes. Real ones stay below 4 KiB.
const maxBody = 1 << 20

// errTooLarge is a body over maxBody.
var errTooLarge = errors.New("the answer is larger than 1 MiB")

// A call is one request to the Director.
type call struct {
	name   string // as its errors say it
	method string
	path   string // below the Director's URL
	query  url.Values
	body   []byte // JSON; nil for none
	limit  time.Duration
	once   bool // must not be repeated: an unclear outcome is ErrAnswerLost

	good      int         // the status of a good answer; 0 is 200
	unchanged bool        // 304 is good, too: its answer is nil
	hidden    secret.Text // a secret in the body
}

// selfService begins a call of the self-service API. It always is a POST: the
// Director executes a call whatever its method is, and a GET may be repeated
// on the way.
func selfService(name string, query url.Values) call {
	return call{name: name, method: http.MethodPost, path: "self-service/" + name, query: query, limit: callLimit}
}

// do sends k and returns the JSON of a good answer.
//
// It uses the transport itself. An http.Client around it would follow
// redirects, with the key in the query, and wrap errors in the whole URL.
func (c *Client) do(ctx context.Context, k call) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, k.limit)
	defer cancel()
	var sent atomic.Bool
	req, err := c.request(httptrace.WithClientTrace(limited, traceSent(&sent)), k)
	if err != nil {
		return nil, err
	}
	res, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, c.failed(ctx, limited, k, sent.Load(), err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := readBody(res.Body)
	if errors.Is(err, errTooLarge) {
		return nil, c.unreadable(k, res.StatusCode, err)
	}
	if err != nil {
		return nil, c.failed(ctx, limited, k, true, fmt.Errorf("the answer broke off: %w", err))
	}
	return c.judge(k, res, body)
}

// request builds k's request. The Director takes Accept for one of its APIs only
// if the value is exactly this one. In a query it takes a + for a plus and no
// space.
func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	u := c.base.JoinPath(k.path)
	u.RawQuery = strings.ReplaceAll(k.query.Encode(), "+", "%20")
	var body io.Reader
	if k.body != nil {
		body = bytes.NewReader(k.body)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, u.String(), body)
	if err != nil { // not err itself: it contains the URL
		return nil, errors.New("internal error: the request to the Director could not be built")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	if c.login != nil {
		req.SetBasicAuth(c.login.user, c.login.password.Reveal())
	}
	if k.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// traceSent keeps sent up to date with whether the server can have the request.
// The transport asks for a connection again only if nothing was written to the
// one before. Headers that are written may still lie in a buffer, so this errs
// towards "sent".
func traceSent(sent *atomic.Bool) *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:      func(string) { sent.Store(false) },
		WroteHeaders: func() { sent.Store(true) },
	}
}

// readBody reads to the end, so that the connection can serve the next call.
func readBody(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err == nil && len(body) > maxBody {
		return nil, errTooLarge
	}
	return body, err
}
