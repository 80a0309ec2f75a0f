package main

import (
	"runtime"
	"slices"
	"strings"
	"unicode"
)

// section is the part of the manual page that describes a setting.
func (s setting) section() string {
	group, _, grouped := strings.Cut(s.key, ".")
	if !grouped {
		return "GENERAL"
	}
	return strings.ToUpper(group)
}

// readOn says where the manual describes the settings that an error names; ""
// where it names none.
func readOn(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool {
		return r != '.' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	for i, word := range words {
		words[i] = strings.Trim(word, ".")
	}
	var sections []string
	for _, s := range allSettings() {
		named := slices.Contains(words, s.key) || slices.Contains(words, s.env()) || strings.Contains(text, "--"+s.flag)
		if named && !slices.Contains(sections, s.section()) {
			sections = append(sections, s.section())
		}
	}
	switch {
	case len(sections) == 0:
		return ""
	case runtime.GOOS == "windows":
		return "README.md has the settings: " + strings.ToLower(strings.Join(sections, ", "))
	default:
		return "icinga-enroll.yml(5) has more: " + strings.Join(sections, ", ")
	}
}
