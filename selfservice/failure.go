package selfservice

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// newError begins an error of k with a message from outside.
func (c *Client) newError(k call, message string) *Error {
	return &Error{
		Call:    k.name,
		Message: clean(message, c.secrets(k)...),
		server:  c.base.Host,
	}
}

// secrets are what the server got with k and may send back.
func (c *Client) secrets(k call) []string {
	secrets := []string{k.query.Get("key"), k.hidden.Reveal()}
	if c.login != nil {
		secrets = append(secrets, c.login.secrets()...)
	}
	return secrets
}

// failed judges a call that got no whole answer. parent is the caller's
// context and limited the one with the call's own time limit. A call that was
// not sent, or may be repeated, can be tried again; a registration that was
// sent has an unknown outcome.
func (c *Client) failed(parent, limited context.Context, k call, sent bool, err error) *Error {
	e := c.newError(k, err.Error())
	e.temporary = true
	switch {
	case parent.Err() != nil:
		e.Message = "stopped before an answer came: " + parent.Err().Error()
		e.causes = append(e.causes, parent.Err())
	case limited.Err() != nil:
		e.Message = fmt.Sprintf("no answer within %s", k.limit)
		e.advice = "Is the Director overloaded, or does a firewall drop packets on the way?"
	default:
		if errors.Is(err, io.EOF) {
			e.Message = "the connection was closed before an answer came"
		}
		e.temporary, e.advice = adviseConnection(err, sent)
	}
	if k.once && sent {
		e.lost()
	}
	return e
}

// lost marks a registration that may have been carried out.
func (e *Error) lost() {
	e.temporary = false
	e.causes = append(e.causes, ErrAnswerLost)
	e.advice = adviceLost
}

// unreadable is an answer that is none, though nothing says that the call
// failed. Since a key may have been in it, it loses a registration.
func (c *Client) unreadable(k call, status int, err error) *Error {
	e := c.newError(k, err.Error())
	e.Status = status
	if k.once {
		e.lost()
		return e
	}
	e.advice = adviceNotDirector
	return e
}

// adviseConnection tells apart what time may mend on the way to the Director
// and what it doesn't, and says what to do about it. sent: the connection was
// there, and has taken the request.
func adviseConnection(err error, sent bool) (temporary bool, advice string) {
	var (
		verify *tls.CertificateVerificationError
		record tls.RecordHeaderError
		proxy  *proxyError
		op     *net.OpError
	)
	switch {
	case errors.As(err, &verify):
		return tooEarly(verify.Err), adviseCertificate(verify.Err)
	case errors.As(err, &record):
		return false, "The server does not speak TLS on this port: check the scheme and the port of director.url."
	case errors.As(err, &proxy) && proxy.status == http.StatusProxyAuthRequired:
		return false, "Put the proxy's user and password into director.proxy or HTTPS_PROXY."
	case errors.As(err, &proxy):
		return proxy.temporary(), "Does the proxy allow connections to the host and port of director.url?"
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return true, "Check that this machine reaches the proxy, which director.proxy or HTTPS_PROXY names."
	case errors.As(err, &op) && op.Op == "remote error", !sent && !isNetwork(err):
		return false, "The server and this program don't agree on TLS: does its web server take TLS 1.2 or 1.3, and ask for no client certificate?"
	case errors.As(err, &op) && op.Op != "read" && op.Op != "write":
		return true, "Check that this machine reaches the host and port of director.url."
	case strings.Contains(err.Error(), "malformed HTTP"):
		return true, adviceNotDirector
	case sent:
		return true, adviceServerError
	}
	return true, "The server was reached, and then the connection broke: is its web server hanging or being restarted, or does a firewall or proxy before it break connections?"
}

// isNetwork reports whether err is about the connection, not about what TLS made
// of it.
func isNetwork(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// tooEarly reports whether a certificate isn't valid yet: a clock that is behind
// may be set at any moment.
func tooEarly(err error) bool {
	var invalid x509.CertificateInvalidError
	return errors.As(err, &invalid) && invalid.Reason == x509.Expired && time.Now().Before(invalid.Cert.NotBefore)
}

// adviseCertificate says how a failed verification of the Director's
// certificate is mended.
func adviseCertificate(err error) string {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &unknown):
		return issuer(unknown.Cert) + "If that is your own CA, put its certificate into a file and name that in director.ca_file; if not, something else answers for the Director."
	case errors.As(err, &name):
		return "Use a name in director.url that the Director's certificate contains, or give the Director a certificate for this one."
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "Check the clock of this machine; if it is right, the Director's certificate must be renewed."
	}
	return "Check the Director's web server certificate, and director.ca_file if it is set."
}

func issuer(cert *x509.Certificate) string {
	if cert == nil {
		return ""
	}
	return fmt.Sprintf("It was issued by \"%s\". ", clean(cert.Issuer.String()))
}

// redirected judges an answer that points elsewhere. It is not followed: the
// key, or the password, would go along.
func (c *Client) redirected(k call, res *http.Response) *Error {
	e := c.newError(k, "the server redirects, without saying where to")
	e.Status = res.StatusCode
	notFollowed := "Redirects are not followed, since the " + c.dialect().carries + " would go along: set director.url to "
	e.advice = notFollowed + "where the Director really is."
	target, err := res.Location()
	if err != nil {
		return e
	}
	path, same := strings.CutSuffix(target.Path, "/"+k.path)
	target = &url.URL{Scheme: target.Scheme, Host: target.Host, Path: path}
	e.Message = clean(fmt.Sprintf("the server redirects to %s", target), c.secrets(k)...)
	switch {
	case same:
		e.advice = notFollowed + "that address."
	case strings.HasSuffix(path, "/authentication/login"):
		e.advice = adviceLoginPage
	}
	return e
}
