package selfservice

import (
	"html"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxMessage is how much of a foreign text is shown, in bytes.
const maxMessage = 300

// keyLike matches what could be a key or a ticket that this call does not know.
var keyLike = regexp.MustCompile(`[0-9A-Fa-f]{40,}`)

// clean makes a text from outside fit for a log: without the secrets, without
// anything that looks like a key, without control characters, and short. The
// secrets are looked for again after escaping, which could have put one together.
func clean(s string, secrets ...string) string {
	escaped := escape(redact(strings.TrimSpace(s), secrets))
	return shorten(redact(escaped, secrets))
}

// redact takes the secrets out, in each way in which a server may spell one.
func redact(s string, secrets []string) string {
	const redacted = "[redacted]"
	for _, key := range secrets {
		if key == "" {
			continue
		}
		for _, form := range []string{key, html.EscapeString(key), url.QueryEscape(key), url.PathEscape(key)} {
			s = strings.ReplaceAll(s, form, redacted)
		}
	}
	return keyLike.ReplaceAllString(s, redacted)
}

// escape writes what a terminal or a log would not show as it is, such as
// control characters and invalid UTF-8, in Go's notation.
func escape(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if strconv.IsPrint(r) && (r != utf8.RuneError || n > 1) {
			b.WriteString(s[:n])
		} else {
			quoted := strconv.Quote(s[:n])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[n:]
	}
	return b.String()
}

// shorten cuts s at the end of a character.
func shorten(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	end := maxMessage
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
