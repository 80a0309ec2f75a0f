package enroll_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"icinga-enroll/enroll"
)

// schema is as much of JSON Schema as the published one uses.
type schema struct {
	Dialect              string            `json:"$schema"`
	Title                string            `json:"title"`
	Description          string            `json:"description"`
	Type                 string            `json:"type"`
	Format               string            `json:"format"`
	Enum                 []string          `json:"enum"`
	AdditionalProperties *bool             `json:"additionalProperties"`
	Required             []string          `json:"required"`
	Properties           map[string]schema `json:"properties"`
}

// enums has every constant of the types that have some.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[enroll.Condition](): {string(enroll.Enrolled), string(enroll.Pending), string(enroll.Failed), string(enroll.Planned)},
	reflect.TypeFor[enroll.KeyStore]():  {string(enroll.InFile), string(enroll.InTPM)},
	reflect.TypeFor[enroll.ErrorKind](): {string(enroll.KindTemporary), string(enroll.KindPermanent), string(enroll.KindKeyRejected), string(enroll.KindClone), string(enroll.KindState), string(enroll.KindAgent)},
}

// Who reads "status --json" relies on the published schema.
func TestPublishedSchemaIsTheStatus(t *testing.T) {
	data, err := os.ReadFile("../packaging/status.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		t.Fatal(err)
	}
	if s.Dialect != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("$schema is %q", s.Dialect)
	}
	holds(t, "status", s, reflect.TypeFor[enroll.Status]())
}

// holds compares the schema of the value at path with its Go type.
func holds(t *testing.T, path string, s schema, goes reflect.Type) {
	t.Helper()
	if goes.Kind() == reflect.Pointer {
		goes = goes.Elem()
	}
	kind, format := jsonType(goes)
	if s.Type != kind || s.Format != format {
		t.Errorf("%s: type %q, format %q, want %q, %q", path, s.Type, s.Format, kind, format)
	}
	if s.Description == "" {
		t.Errorf("%s has no description", path)
	}
	if want := enums[goes]; !sameNames(s.Enum, want) {
		t.Errorf("%s: enum %q, want %q", path, s.Enum, want)
	}
	if kind == "object" {
		objectHolds(t, path, s, goes)
	} else if s.Properties != nil || s.Required != nil || s.AdditionalProperties != nil {
		t.Errorf("%s is no object, and has an object's keywords", path)
	}
}

func objectHolds(t *testing.T, path string, s schema, goes reflect.Type) {
	t.Helper()
	if s.AdditionalProperties == nil || *s.AdditionalProperties {
		t.Errorf("%s: additionalProperties is not false", path)
	}
	var names, required []string
	for _, field := range reflect.VisibleFields(goes) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		names = append(names, name)
		if !strings.Contains(options, "omit") {
			required = append(required, name)
		}
		property, ok := s.Properties[name]
		if !ok {
			t.Errorf("%s has no property %q, the Go type has", path, name)
			continue
		}
		holds(t, path+"."+name, property, field.Type)
	}
	for name := range s.Properties {
		if !slices.Contains(names, name) {
			t.Errorf("%s: the Go type has no field %q", path, name)
		}
	}
	if !sameNames(s.Required, required) {
		t.Errorf("%s: required %q, want %q", path, s.Required, required)
	}
}

// jsonType is how encoding/json writes a value of the type.
func jsonType(goes reflect.Type) (kind, format string) {
	if goes == reflect.TypeFor[time.Time]() {
		return "string", "date-time"
	}
	return map[reflect.Kind]string{
		reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer", reflect.Struct: "object",
	}[goes.Kind()], ""
}

func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
