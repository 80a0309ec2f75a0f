package selfservice

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

const exampleURL = "https://icinga.example.com/icingaweb2/director"

// parseBase checks the Director's URL. What was given is not repeated in an
// error: somebody may have put a password into it.
func parseBase(text string, allowHTTP bool) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the Director's URL cannot be parsed; it looks like %s", exampleURL)
	case u.Scheme == "http" && !allowHTTP:
		return nil, errors.New("the Director's URL begins with http://, which would send keys and the ticket in clear text; use https://, or set director.allow_insecure_http")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("the Director's URL must begin with https://; it looks like %s", exampleURL)
	case u.Hostname() == "":
		return nil, fmt.Errorf("the Director's URL names no host; it looks like %s", exampleURL)
	case u.User != nil:
		return nil, errors.New("the Director's URL contains a user name or password; take it out: the self-service API needs only the template key, and a user of the REST API is given apart from the URL")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return nil, fmt.Errorf("the Director's URL must end with its path, without ? or #; it looks like %s", exampleURL)
	}
	return u, nil
}

// chooseProxy returns the proxy for base, nil for none. It is chosen once so
// that a mistake in it is a usage error and not the failure of some later call.
func chooseProxy(base, given *url.URL) (*url.URL, error) {
	if given == nil {
		proxy, err := http.ProxyFromEnvironment(&http.Request{URL: base})
		if err != nil { // its text repeats the value, which may hold a password
			return nil, errors.New("the proxy in HTTPS_PROXY or HTTP_PROXY is not a URL such as http://proxy.example.com:3128")
		}
		return proxy, nil
	}
	switch given.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		return nil, errors.New("the proxy's URL must begin with http://, https:// or socks5://")
	}
	if given.Hostname() == "" {
		return nil, errors.New("the proxy's URL names no host; it looks like http://proxy.example.com:3128")
	}
	return given, nil
}

// checkProxy turns a proxy's refusal to connect into a typed error; net/http
// would only give the text of the status.
func checkProxy(_ context.Context, proxy *url.URL, _ *http.Request, res *http.Response) error {
	if res.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyError{proxy: proxy.Host, status: res.StatusCode}
}

// proxyError is the answer of a proxy that did not open a tunnel.
type proxyError struct {
	proxy  string
	status int
}

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy %s answered %d to CONNECT", e.proxy, e.status)
}

// temporary reports whether the proxy may let the next call through: it
// couldn't reach the Director, rather than not wanting to.
func (e *proxyError) temporary() bool { return e.status >= http.StatusInternalServerError }
