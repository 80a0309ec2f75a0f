// Package secret holds the one type in which passwords travel through this
// program: template keys, host API keys, tickets. Whatever prints it prints
// "[redacted]"; only [Text.Reveal] yields the text.
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Text is a secret. The zero value is no secret at all; see [Text.IsZero].
//
// The text is behind a pointer since fmt prints the unexported fields of a
// struct without asking their methods: a Text inside another type shows an
// address at worst.
type Text struct{ text *string }

// New wraps s. An empty s gives the zero Text.
func New(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{&s}
}

// Reveal returns the secret itself, "" for the zero Text.
func (t Text) Reveal() string {
	if t.text == nil {
		return ""
	}
	return *t.text
}

// IsZero reports whether there is no secret.
func (t Text) IsZero() bool { return t.text == nil }

// Equal compares in constant time.
func (t Text) Equal(other Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(other.Reveal())) == 1
}

// String returns "[redacted]", or "" for the zero Text.
func (t Text) String() string {
	if t.IsZero() {
		return ""
	}
	return redacted
}

// Format prints what [Text.String] returns, whatever the verb.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// MarshalText serves encoding/json and YAML.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// LogValue serves log/slog.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }
