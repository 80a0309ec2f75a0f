package agent

import (
	"regexp"
	"testing"
)

// unended finds a string or comment that begins and doesn't end. Icinga refuses
// such a file when it validates it, so it is never put in place.
func unended(text string) bool {
	return begins.MatchString(comments.ReplaceAllString(text, " "))
}

var begins = regexp.MustCompile(`"|/\*|\{\{\{`)

// FuzzConstants: whatever constants.conf holds, the node's names are set in it,
// and writing them again changes nothing: a service that runs for years leaves
// the file alone.
func FuzzConstants(f *testing.F) {
	for _, seed := range []string{
		"", "const NodeName = \"x\"\n", "// const NodeName = \"localhost\"\nconst ZoneName = NodeName\n", "/* const NodeName = 1 */", "const PluginDir = \"/usr\" // const NodeName\n",
		"/*\nconst NodeName = \"a\"\n*/\nconst NodeName = \"b\"\r\n", `const A = "/*"`, "const A = {{{\nconst NodeName = 1\n}}}\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once := setConstants(text, testNode)
		if unended(text) || unended(once) {
			return
		}
		if twice := setConstants(once, testNode); twice != once {
			t.Errorf("%q became %q, then %q", text, once, twice)
		}
		for _, name := range []string{"NodeName", "ZoneName"} {
			at := constants[name].in(once)
			if at == nil || once[at[0]:at[1]] != "const "+name+" = "+Quote(testNode) {
				t.Errorf("%q became %q, without a %s", text, once, name)
			}
		}
	})
}
