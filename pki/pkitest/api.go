package pkitest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// APIUser is an `object ApiUser` of a [Server].
type APIUser struct {
	Name     string
	Password string // "": none
	ClientCN string // "": none
	// Permissions may end in "*".
	Permissions []string
}

// Endpoint is an endpoint of which a [Server] knows.
type Endpoint struct {
	Name      string
	Connected bool
}

// AddAPIUser adds a user, or replaces the one of that name. Without users,
// every request is answered with 401.
func (s *Server) AddAPIUser(u APIUser) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[u.Name] = u
}

// SetEndpoint adds an endpoint to what the API shows, or replaces the one of
// that name. The server itself is there from the start.
func (s *Server) SetEndpoint(e Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoints[e.Name] = e
}

// serveAPI answers HTTP requests until the connection ends.
func (s *Server) serveAPI(conn *tls.Conn, r *bufio.Reader) {
	for {
		first, err := r.Peek(1)
		if err != nil {
			return
		}
		var request *http.Request
		if isMethod(first[0]) { // otherwise the answer does not wait for the line's end
			request, err = http.ReadRequest(r)
		}
		if err != nil || request == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
			return
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		answer := s.answerAPI(request, body, conn.ConnectionState().PeerCertificates)
		if answer.Write(conn) != nil || answer.Close || request.Close {
			return
		}
	}
}

func isMethod(first byte) bool { return 'A' <= first && first <= 'Z' }

func (s *Server) answerAPI(request *http.Request, body []byte, shown []*x509.Certificate) *http.Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	user, known := s.authenticate(request, shown)
	if !known {
		answer := failed(http.StatusUnauthorized, "Unauthorized. Please check your user credentials.")
		answer.Header.Set("WWW-Authenticate", `Basic realm="Icinga 2"`)
		answer.Close = true
		return answer
	}
	switch path := strings.Trim(request.URL.Path, "/"); {
	case path == "":
		return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {"/v1"}, "Server": {serverHeader}}, ProtoMajor: 1, ProtoMinor: 1}
	case path == "v1" && request.Method == http.MethodGet:
		return whoAmI(user)
	case path == "v1/actions/generate-ticket" && request.Method == http.MethodPost && user.may("actions/generate-ticket"):
		return s.generateTicket(request, body)
	case path == "v1/objects/endpoints" && request.Method == http.MethodGet:
		return s.showEndpoints(user, request.URL.Query()["attrs"])
	default:
		return failed(http.StatusNotFound, fmt.Sprintf("The requested path '%s' could not be found or the request method is not valid for this path.", path))
	}
}

// authenticate looks at a certificate first, if the CA has signed it and it is
// valid. s.mu is held.
func (s *Server) authenticate(request *http.Request, shown []*x509.Certificate) (APIUser, bool) {
	if len(shown) > 0 && s.ca.isOwn(shown[0]) {
		for _, u := range s.users {
			if u.ClientCN != "" && u.ClientCN == firstCommonName(shown[0]) {
				return u, true
			}
		}
	}
	name, password, _ := request.BasicAuth()
	u, known := s.users[name]
	return u, known && password != "" && password == u.Password
}

// may compares as Icinga does, but knows a "*" at the end only.
func (u APIUser) may(permission string) bool {
	return slices.ContainsFunc(u.Permissions, func(p string) bool {
		start, wild := strings.CutSuffix(p, "*")
		return p == permission || wild && strings.HasPrefix(permission, start)
	})
}

func whoAmI(u APIUser) *http.Response {
	return results(http.StatusOK, map[string]any{
		"info":        "More information about API requests is available in the documentation at https://icinga.com/docs/icinga2/latest/",
		"permissions": append([]string{}, u.Permissions...),
		"user":        u.Name,
		"version":     version,
	})
}

func (s *Server) generateTicket(request *http.Request, body []byte) *http.Response {
	var params struct{ CN *string }
	if len(body) > 0 && json.Unmarshal(body, &params) != nil {
		return failed(http.StatusBadRequest, "Invalid request body: Error: [json.exception.parse_error.101] parse error\n")
	}
	if query := request.URL.Query(); params.CN == nil && query.Has("cn") {
		cn := query.Get("cn")
		params.CN = &cn
	}
	switch {
	case params.CN == nil:
		return result1(http.StatusBadRequest, "Option 'cn' is required")
	case s.ca.Salt == "":
		return result1(http.StatusInternalServerError, "Ticket salt is not configured in ApiListener object")
	}
	ticket := s.ca.Ticket(*params.CN)
	return results(http.StatusOK, map[string]any{
		"code": http.StatusOK, "ticket": ticket,
		"status": fmt.Sprintf("Generated PKI ticket '%s' for common name '%s'.", ticket, *params.CN),
	})
}

// showEndpoints shows the attributes that are named, or all that it knows.
func (s *Server) showEndpoints(user APIUser, attrs []string) *http.Response {
	if !user.may("objects/query/Endpoint") {
		return failed(http.StatusNotFound, "No objects found.")
	}
	list := []any{}
	for _, e := range s.endpoints {
		known := e.attributes()
		shown := map[string]any{}
		for _, name := range attrs {
			value, ok := known[name]
			if !ok {
				return failed(http.StatusBadRequest, "Invalid field specified: "+name)
			}
			shown[name] = value
		}
		if len(attrs) == 0 {
			shown = known
		}
		list = append(list, map[string]any{"attrs": shown, "joins": struct{}{}, "meta": struct{}{}, "name": e.Name, "type": "Endpoint"})
	}
	return results(http.StatusOK, list...)
}

func (e Endpoint) attributes() map[string]any {
	return map[string]any{"name": e.Name, "connected": e.Connected}
}

const (
	version      = "r2.13.6-1"
	serverHeader = "Icinga/" + version
)

func result1(status int, text string) *http.Response {
	return results(status, map[string]any{"code": status, "status": text})
}

func results(status int, list ...any) *http.Response {
	return document(status, map[string]any{"results": append([]any{}, list...)})
}

func failed(status int, text string) *http.Response {
	return document(status, map[string]any{"error": status, "status": text})
}

func document(status int, content any) *http.Response {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(content); err != nil {
		panic("pkitest: " + err.Error()) // maps of strings and numbers
	}
	body.Truncate(body.Len() - 1) // the encoder's newline
	return &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(body.Len()), Body: io.NopCloser(&body),
		Header: http.Header{"Content-Type": {"application/json"}, "Server": {serverHeader}},
	}
}
