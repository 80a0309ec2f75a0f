package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"icinga-enroll/platform"
)

// fileLayer reads the configuration file. A default file that isn't there is
// no error: everything may come from the environment.
func fileLayer(file string, asked bool) (layer, error) {
	l := newLayer()
	data, err := platform.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		return l, nil
	}
	if err != nil {
		return l, usage("configuration: %w%s", err, adviceOn(err))
	}
	var doc, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return l, nil // empty, or comments only
	} else if err != nil {
		return l, notYAML(file, data, err)
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return l, usage("%s:%d: a second document begins after \"---\"; only one is read", file, more.Line)
	}
	return l, l.read(file, doc.Content[0])
}

// tabbed finds a line that a tab begins.
var tabbed = regexp.MustCompile(`(?m)^ *\t`)

// notYAML names the line where that is a tab's: the parser counts some wrong, and
// says what it makes of a tab, not that it is one.
func notYAML(file string, data []byte, err error) error {
	if strings.Contains(err.Error(), "unknown anchor") { // which would show a password that begins so
		return usage("%s: a value that begins with * has to be in quotes", file)
	}
	at := tabbed.FindIndex(data)
	if at == nil || !strings.Contains(err.Error(), "cannot start any token") && !strings.Contains(err.Error(), "tab character") {
		return usage("%s: %w", file, err)
	}
	return usage("%s:%d: a tab begins this line, and YAML takes none there: indent it with spaces (%w)", file, 1+bytes.Count(data[:at[0]], []byte("\n")), err)
}

// adviceOn a configuration that can't be read. That of an API client's service is
// read by the service's account.
func adviceOn(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission) && runtime.GOOS == "windows":
		return ": run this as Administrator"
	case errors.Is(err, fs.ErrPermission):
		return ": run this as root, or as root let this account read it, by its group (chgrp GROUP FILE && chmod 640 FILE)"
	case errors.Is(err, fs.ErrNotExist):
		return ": write it, or name the right one"
	}
	return ""
}

func (l layer) read(file string, root *yaml.Node) error {
	if root.Kind != yaml.MappingNode {
		return usage("%s:%d: want settings such as \"director:\"", file, root.Line)
	}
	lines := map[string]int{}
	for group, value := range pairs(root) {
		if first, twice := lines[group.Value]; twice {
			return usage("%s:%d: %s is set twice, first at %s:%d", file, group.Line, group.Value, file, first)
		}
		lines[group.Value] = group.Line
		if err := l.readGroup(file, group, value); err != nil {
			return err
		}
	}
	return nil
}

// readGroup reads a group of settings, or one that stands for itself.
func (l layer) readGroup(file string, group, value *yaml.Node) error {
	_, single := findSetting(func(s setting) bool { return s.key == group.Value })
	switch {
	case single && !strings.Contains(group.Value, "."):
		return l.readSetting(file, group.Value, group.Line, value)
	case !isGroup(group.Value) && (value.Kind != yaml.MappingNode || len(value.Content) == 0):
		return usage("%s:%d: %q is not a group of settings; these are: %s", file, group.Line, group.Value, strings.Join(siblings(""), ", "))
	case isNull(value):
		return nil
	case value.Kind != yaml.MappingNode:
		return usage("%s:%d: %q is a group of settings: want them below it, each as \"name: value\"; they are: %s", file, group.Line, group.Value, strings.Join(siblings(group.Value), ", "))
	}
	for name, leaf := range pairs(value) {
		if err := l.readSetting(file, group.Value+"."+name.Value, name.Line, leaf); err != nil {
			return err
		}
	}
	return nil
}

func (l layer) readSetting(file, key string, line int, leaf *yaml.Node) error {
	origin := fmt.Sprintf("%s:%d", file, line)
	s, known := findSetting(func(s setting) bool { return s.key == key })
	if name, _, glued := strings.Cut(key, ":"); glued { // what follows may be a password
		return usage("%s: a blank is missing behind %s:", origin, name)
	}
	if !known {
		return usage("%s: unknown key %q; known are: %s", origin, key, strings.Join(siblings(key), ", "))
	}
	if first, twice := l.origin[key]; twice {
		return usage("%s: %s is set twice, first at %s", origin, key, first)
	}
	if isNull(leaf) {
		return nil
	}
	value, err := s.decode(leaf)
	if err != nil {
		return usage("%s: %s: %w", origin, key, err)
	}
	l.set(key, value, origin)
	return nil
}

// decode takes the text of a scalar as it is written: YAML would read a
// fingerprint such as 12:34:56 as a number.
func (s setting) decode(n *yaml.Node) (any, error) {
	switch {
	case s.kind == kindVectors:
		return decodeVectors(n)
	case s.kind == kindList && n.Kind != yaml.ScalarNode:
		list, err := decodeList(n)
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, s.example())
		}
		return list, nil
	case n.Kind != yaml.ScalarNode:
		return nil, fmt.Errorf("want %s", map[kind]string{
			kindBool: "true or false", kindText: "a text",
		}[s.kind])
	case s.kind == kindList:
		return []string{n.Value}, nil
	default:
		return s.parse(n.Value)
	}
}

// example is a value of a list.
func (s setting) example() string {
	if s.key == "host.vars" {
		return `["role=web", "site=berlin"]`
	}
	return `["one", "another"]`
}

func decodeList(n *yaml.Node) ([]string, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, errors.New("want a list of texts")
	}
	list := []string{}
	for _, item := range n.Content {
		if item.Kind != yaml.ScalarNode {
			return nil, errors.New("want a list of texts")
		}
		list = append(list, item.Value)
	}
	return list, nil
}

var errVectors = errors.New(`want a list of programs, each a list of texts: [["systemctl", "reload", "x"]]`)

func decodeVectors(n *yaml.Node) ([][]string, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, errVectors
	}
	vectors := [][]string{}
	for _, item := range n.Content {
		vector, err := decodeList(item)
		if err != nil || len(vector) == 0 || vector[0] == "" {
			return nil, errVectors
		}
		vectors = append(vectors, vector)
	}
	return vectors, nil
}

// siblings lists what is known in the group of key, or the groups where that
// isn't known either.
func siblings(key string) []string {
	group, _, _ := strings.Cut(key, ".")
	var inGroup, groups []string
	for _, s := range allSettings() {
		g, _, _ := strings.Cut(s.key, ".")
		if g == group {
			inGroup = append(inGroup, s.key)
		}
		if !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	if inGroup == nil {
		return groups
	}
	return inGroup
}

func isGroup(name string) bool {
	_, found := findSetting(func(s setting) bool { return strings.HasPrefix(s.key, name+".") })
	return found
}

// pairs yields the keys and values of a mapping.
func pairs(n *yaml.Node) func(func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			value := n.Content[i+1]
			if value.Kind == yaml.AliasNode {
				value = value.Alias
			}
			if !yield(n.Content[i], value) {
				return
			}
		}
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
