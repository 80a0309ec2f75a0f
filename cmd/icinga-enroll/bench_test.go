package main

import "testing"

// BenchmarkRoot is what every call begins with, also that of a monitoring plugin.
func BenchmarkRoot(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		newRoot()
	}
}
