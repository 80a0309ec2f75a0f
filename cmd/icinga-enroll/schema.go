package main

import (
	"encoding/json"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// schema is as much of JSON Schema (draft 2020-12) as the configuration takes.
type schema struct {
	Dialect     string            `json:"$schema,omitempty"`
	Title       string            `json:"title,omitempty"`
	Description string            `json:"description,omitempty"`
	Type        []string          `json:"type"`
	Enum        []any             `json:"enum,omitempty"`
	Default     any               `json:"default,omitempty"`
	WriteOnly   bool              `json:"writeOnly,omitempty"`
	Pattern     string            `json:"pattern,omitempty"` // of a text; others aren't asked
	Minimum     *int              `json:"minimum,omitempty"` // of a number; others aren't asked
	Maximum     *int              `json:"maximum,omitempty"`
	Items       *schema           `json:"items,omitempty"`
	FirstItems  []schema          `json:"prefixItems,omitempty"`
	MinItems    int               `json:"minItems,omitempty"`
	Properties  map[string]schema `json:"properties,omitempty"`
	Additional  *bool             `json:"additionalProperties,omitempty"`
}

func newConfigSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print a JSON schema of the configuration file",
		Long: `Prints a JSON schema (draft 2020-12) of the configuration file, for editors and
for who writes such files by a program. What settings want of each other only
"icinga-enroll config" checks.`,
		Example: "  icinga-enroll config schema > config.schema.json",
		Args:    cobra.NoArgs,
		RunE: verb(func(cmd *cobra.Command, _ []string) error {
			return printSchema(cmd.OutOrStdout(), defaults(instanceOf(cmd.Flags()).paths))
		}),
	}
}

// printSchema leaves "<" as it is, for people.
func printSchema(out io.Writer, defaults map[string]any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(configSchema(defaults))
}

// configSchema makes the schema of the list of settings. Whatever may be set may
// also be left empty, which is null to YAML.
func configSchema(defaults map[string]any) schema {
	root := newGroup("what can be set for icinga-enroll")
	root.Dialect, root.Title = "https://json-schema.org/draft/2020-12/schema", "configuration of icinga-enroll"
	for _, s := range allSettings() {
		group, name, grouped := strings.Cut(s.key, ".")
		if !grouped {
			root.Properties[group] = s.schema(defaults[s.key])
			continue
		}
		if _, known := root.Properties[group]; !known {
			root.Properties[group] = newGroup("")
		}
		root.Properties[group].Properties[name] = s.schema(defaults[s.key])
	}
	return root
}

func newGroup(description string) schema {
	return schema{Description: description, Type: []string{"object", "null"}, Properties: map[string]schema{}, Additional: new(bool)}
}

func (s setting) schema(value any) schema {
	made := schema{Description: s.usage, Default: value, WriteOnly: s.secret, Pattern: s.form}
	var choices []any
	for _, choice := range s.choices {
		choices = append(choices, choice)
	}
	text := schema{Type: []string{"string"}, Enum: choices, Pattern: s.form}
	switch s.kind {
	case kindBool:
		made.Type = []string{"boolean", "null"}
	case kindList:
		// One that stands for a list of its own is allowed.
		made.Type = []string{"array", "string", "null"}
		made.Items = &text
		if choices != nil {
			made.Pattern = "^(" + strings.Join(s.choices, "|") + ")$"
		}
		if value != nil { // it needs one: there is a default
			made.MinItems = 1
		}
	case kindVectors:
		made.Type = []string{"array", "null"}
		program := schema{Type: text.Type, Pattern: absolutePath() + "|^[^/]+$"}
		made.Items = &schema{Type: []string{"array"}, FirstItems: []schema{program}, Items: &text, MinItems: 1}
	default:
		made.Type = []string{"string", "null"}
		switch {
		case choices != nil:
			made.Enum = append(choices, nil)
		case regexp.MustCompile(s.form).MatchString("0"): // a text of digits is taken as it is written
			made.Type = []string{"string", "integer", "null"}
			if !regexp.MustCompile(s.form).MatchString("10") {
				made.Minimum, made.Maximum = new(int), new(int)
			}
		}
	}
	return made
}
