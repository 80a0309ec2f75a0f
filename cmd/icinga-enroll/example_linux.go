package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// exampleConfig is a configuration file that sets nothing and has everything
// that can be set, each with its default.
func exampleConfig(defaults map[string]any) string {
	var b strings.Builder
	b.WriteString(`# What icinga-enroll does on this machine: icinga-enroll.yml(5) says more. Remove
# the "#" of what you set; what follows is the default, nothing where there is none.
# A node takes director.url, director.template_key_file and ca.fingerprint.
# "icinga-enroll config" checks this file, "icinga-enroll once --dry-run" tries it, and
# "icinga-enroll service install && icinga-enroll service start" starts the service.
`)
	before := ""
	for _, s := range allSettings() {
		group, name, grouped := strings.Cut(s.key, ".")
		indent := ""
		if grouped {
			indent = "  "
		} else {
			name = group
		}
		if group != before {
			before = group
			b.WriteString("\n")
			if grouped {
				b.WriteString(group + ":\n")
			}
		}
		for _, line := range wrap(s.usage, 90) {
			fmt.Fprintf(&b, "%s# %s\n", indent, line)
		}
		b.WriteString(strings.TrimRight(fmt.Sprintf("%s#%s: %s", indent, name, s.inYAML(defaults[s.key])), " ") + "\n")
	}
	return b.String()
}

// inYAML is the default as YAML has it; JSON is YAML.
func (s setting) inYAML(value any) string {
	switch {
	case value == nil && s.kind == kindBool:
		return "false"
	case value == nil || value == "":
		return ""
	}
	// "0" in quotes is a text, without them a number.
	if text, ok := value.(string); ok && !strings.ContainsAny(text, ": #\\\"'") && strings.Trim(text, "0123456789") != "" {
		return text
	}
	quoted, _ := json.Marshal(value) // texts, lists and truth values can be
	return string(quoted)
}

// wrap breaks a text into lines of at most so many bytes, where words allow.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}
