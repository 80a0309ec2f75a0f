package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"icinga-enroll/enroll/secret"
)

const plain = "c3a4b5d6e7f8091a2b3c4d5e6f708192a3b4c5d6"

func TestNothingPrintsTheSecret(t *testing.T) {
	text := secret.New(plain)
	inside := struct {
		Exported   secret.Text
		unexported secret.Text
	}{text, text}
	pointed := &inside

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T"} {
		fmt.Fprintf(&out, verb+"\n", text)
		fmt.Fprintf(&out, verb+"\n", inside)
		fmt.Fprintf(&out, verb+"\n", pointed)
		fmt.Fprintf(&out, verb+"\n", []any{text, &text, inside})
	}
	if err := json.NewEncoder(&out).Encode(map[string]any{"a": text, "b": inside}); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "secret", text, "inside", inside)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "secret", text, "inside", inside)

	printed := strings.ToLower(out.String())
	for _, form := range []string{plain, fmt.Sprintf("%x", plain), fmt.Sprint([]byte(plain))} {
		if strings.Contains(printed, form) {
			t.Errorf("the secret shows as %q", form)
		}
	}
	if !strings.Contains(printed, "[redacted]") {
		t.Error("nothing says that something was redacted")
	}
}

func TestReveal(t *testing.T) {
	if got := secret.New(plain).Reveal(); got != plain {
		t.Errorf("Reveal() = %q, want %q", got, plain)
	}
	if !secret.New("").IsZero() || !(secret.Text{}).IsZero() {
		t.Error("an empty secret is not zero")
	}
	if !secret.New("a").Equal(secret.New("a")) || secret.New("a").Equal(secret.New("b")) {
		t.Error("Equal compares something other than the text")
	}
}
