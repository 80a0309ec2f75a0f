package enroll_test

import "testing"

// What a daemon does twice a day on a node where nothing is due.
func BenchmarkEnsureSettled(b *testing.B) {
	n := newNode(b)
	for b.Loop() {
		if _, err := n.Ensure(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
