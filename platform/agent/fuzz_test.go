package agent

import (
	"regexp"
	"testing"
)

// What begins and doesn't end: Icinga refuses the file, and nobody writes it.
var unended = regexp.MustCompile(`"|/\*|\{\{\{`)

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
		if unended.MatchString(comments.ReplaceAllString(text, " ")) {
			return
		}
		once := setConstants(text, testNode)
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
