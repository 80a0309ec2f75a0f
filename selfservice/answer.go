package selfservice

import (
	"encoding/json"
	"errors"
	"strings"

	"icinga-enroll/enroll/secret"
)

// maxTicket is how long a ticket may be, in bytes. An Icinga master makes 40
// hex digits, but that is its business.
const maxTicket = 1024

// decodeHostKey reads the answer to a registration. What was read instead of
// a key is not part of the error: it could be one all the same.
func decodeHostKey(answer []byte) (secret.Text, error) {
	return decodeSecret(answer, isHostKey, "the answer is not a host key (a JSON string of 40 hex digits)")
}

// decodeTicket reads the answer to a request for a ticket.
func decodeTicket(answer []byte) (secret.Text, error) {
	return decodeSecret(answer, isTicket, "the answer is not a ticket (a JSON string of printable characters)")
}

// isHostKey reports whether s has the form of every key that a Director makes:
// a SHA-1 in lower-case hex.
func isHostKey(s string) bool {
	return len(s) == 40 && strings.Trim(s, "0123456789abcdef") == ""
}

// isTicket refuses only what cannot be sent on as a ticket.
func isTicket(s string) bool {
	unfit := func(r rune) bool { return r <= ' ' || r > '~' }
	return s != "" && len(s) <= maxTicket && !strings.ContainsFunc(s, unfit)
}

func decodeSecret(answer []byte, fits func(string) bool, otherwise string) (secret.Text, error) {
	var text string
	if err := json.Unmarshal(answer, &text); err != nil || !fits(text) {
		return secret.Text{}, errors.New(otherwise)
	}
	return secret.New(text), nil
}
