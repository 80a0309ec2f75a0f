package netstring

import (
	"bufio"
	"bytes"
	"testing"
)

// answer is as long as the one to a certificate request.
var answer = bytes.Repeat([]byte("x"), 10<<10)

func BenchmarkEncode(b *testing.B) {
	b.SetBytes(int64(len(answer)))
	for b.Loop() {
		Encode(answer)
	}
}

func BenchmarkRead(b *testing.B) {
	framed := Encode(answer)
	source := bytes.NewReader(nil)
	r := bufio.NewReader(source)
	b.SetBytes(int64(len(answer)))
	for b.Loop() {
		source.Reset(framed)
		r.Reset(source)
		if _, err := Read(r); err != nil {
			b.Fatal(err)
		}
	}
}
