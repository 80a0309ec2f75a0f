package netstring

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

func TestRead(t *testing.T) {
	full := strings.Repeat("x", MaxLength)
	for _, test := range []struct {
		in   string
		want string
		err  error
		text string
	}{
		{in: "2:{},", want: "{}"},
		{in: "0:,", want: ""},
		{in: "10:0123456789,rest", want: "0123456789"},
		{in: "1048576:" + full + ",", want: full},
		{in: "", err: io.EOF},
		{in: "12", err: io.ErrUnexpectedEOF},
		{in: "2:", err: io.ErrUnexpectedEOF},
		{in: "2:{}", err: io.ErrUnexpectedEOF},
		{in: "2:{};", err: ErrMalformed, text: "not a comma"},
		{in: "1048577:" + full + "x,", err: ErrMalformed, text: "at most 1048576"},
		{in: "999999999:", err: ErrMalformed, text: "999999999 bytes"},
		{in: "2147483648:", err: ErrMalformed, text: "more than 9 digits"},
		{in: "02:{},", err: ErrMalformed, text: "begins with a zero"},
		{in: "-2:{},", err: ErrMalformed, text: "'-'"},
		{in: ":,", err: ErrMalformed, text: "':'"},
		{in: "HTTP/1.1 400 Bad Request", err: ErrMalformed, text: "'H'"},
		{in: strings.Repeat("1", 1<<20), err: ErrMalformed, text: "more than 9 digits"},
	} {
		got, err := Read(bufio.NewReader(iotest.OneByteReader(strings.NewReader(test.in))))
		name := test.in[:min(len(test.in), 20)]
		if string(got) != test.want || !errors.Is(err, test.err) {
			t.Errorf("%q: %d bytes, %v, want %d bytes, %v", name, len(got), err, len(test.want), test.err)
		}
		if test.text != "" && !strings.Contains(err.Error(), test.text) {
			t.Errorf("%q: error %q does not say %q", name, err, test.text)
		}
	}
}

// A server that announces a gigabyte must not cost a gigabyte.
func TestReadAllocatesNoMoreThanTheLimit(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _ = Read(bufio.NewReader(strings.NewReader("999999999:")))
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 4*MaxLength {
		t.Errorf("%d bytes were allocated", grown)
	}
}

func TestReadPassesOnTheReadersError(t *testing.T) {
	broken := errors.New("broken")
	for _, in := range []string{"", "1", "2:{"} {
		r := io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken))
		if _, err := Read(bufio.NewReader(r)); !errors.Is(err, broken) {
			t.Errorf("%q: %v, want %v", in, err, broken)
		}
	}
}

// FuzzRead: what was read is what Encode would have sent, so no two readers of a
// stream see different messages in it; what can't be read is one of the errors
// that callers know.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{"2:{},", "999999999:", "02:{},", "-1:", "1:a,1:b,", ":", "0:,", "1:a;", "12:{\"jsonrpc\":1},3:{},"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bufio.NewReader(bytes.NewReader(in))
		var read []byte
		for {
			payload, err := Read(r)
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrMalformed) {
					t.Fatalf("%q ends with the unknown error %v", in, err)
				}
				break
			}
			read = append(read, Encode(payload)...)
		}
		if !bytes.HasPrefix(in, read) {
			t.Fatalf("%q was read as %q", in, read)
		}
	})
}
