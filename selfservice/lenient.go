package selfservice

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Types for values that PHP writes in several ways, depending on where the
// Director has them from: its defaults, a form, or its database.

// flag is a boolean that comes as true, "1", "y" or the like; null and an
// empty string are false.
type flag bool

func (f *flag) UnmarshalJSON(b []byte) error {
	switch strings.ToLower(strings.Trim(string(b), `"`)) {
	case "true", "1", "y", "yes":
		*f = true
	case "false", "0", "n", "no", "null", "":
		*f = false
	default:
		return fmt.Errorf("%.40q is neither yes nor no", b)
	}
	return nil
}

// variables are an object; without any it may come as an empty list. Numbers stay as
// they are written.
type variables map[string]any

func (v *variables) UnmarshalJSON(b []byte) error {
	*v = nil
	if !bytes.HasPrefix(b, []byte("{")) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode((*map[string]any)(v))
}

// text is a string that may come as a number; null is empty.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var value any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return err
	}
	switch v := value.(type) {
	case nil:
		*t = ""
	case string:
		*t = text(v)
	case json.Number:
		*t = text(v)
	default:
		return fmt.Errorf("%.40q is no text", b)
	}
	return nil
}

// list is an array of texts. null is an empty one, a bare text one of one, and
// an object is what PHP makes of an array with holes: its keys are positions.
type list []string

func (l *list) UnmarshalJSON(b []byte) error {
	*l = nil
	var texts []text
	switch {
	case bytes.HasPrefix(b, []byte("[")):
		if err := json.Unmarshal(b, &texts); err != nil {
			return err
		}
	case bytes.HasPrefix(b, []byte("{")):
		var byPosition map[string]text
		if err := json.Unmarshal(b, &byPosition); err != nil {
			return err
		}
		texts = inOrder(byPosition)
	default:
		var one text
		if err := one.UnmarshalJSON(b); err != nil {
			return err
		}
		if one != "" {
			texts = []text{one}
		}
	}
	for _, t := range texts {
		*l = append(*l, string(t))
	}
	return nil
}

// inOrder returns the values of m by their keys, numbers first.
func inOrder(m map[string]text) []text {
	type entry struct {
		position int
		key      string
		value    text
	}
	var entries []entry
	for key, value := range m {
		position, err := strconv.Atoi(key)
		if err != nil {
			position = len(m)
		}
		entries = append(entries, entry{position, key, value})
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.position, b.position), cmp.Compare(a.key, b.key))
	})
	var values []text
	for _, e := range entries {
		values = append(values, e.value)
	}
	return values
}
