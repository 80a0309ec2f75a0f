// Package netstring is the framing and the envelope of Icinga's cluster
// protocol: JSON-RPC messages, each a netstring ("5:hello,").
package netstring

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// MaxLength is the longest payload in bytes. It is what Icinga 2 takes from a
// client without a certificate (observed on 2.13.6: 1,048,576 bytes are read,
// one more ends the connection); an answer to a certificate request has some
// 10 KiB.
const MaxLength = 1 << 20

// maxDigits is how many digits Icinga 2 takes as a length.
const maxDigits = 9

// ErrMalformed is found in every error about bytes that are no netstring of at
// most [MaxLength] bytes. What follows in the stream can't be read any more.
var ErrMalformed = errors.New("malformed netstring")

// Message is a JSON-RPC 2.0 request, notification or answer. ID is as it was
// sent, so that an answer carries the very bytes of the request's.
type Message struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
}

// Encode frames payload.
func Encode(payload []byte) []byte {
	framed := strconv.AppendInt(nil, int64(len(payload)), 10)
	framed = append(framed, ':')
	framed = append(framed, payload...)
	return append(framed, ',')
}

// Read returns the next payload. It allocates no more than [MaxLength] bytes,
// whatever length is announced. The error is io.EOF at the end of the stream,
// io.ErrUnexpectedEOF within a netstring, ErrMalformed (wrapped), or what r
// returned.
func Read(r *bufio.Reader) ([]byte, error) {
	length, err := readLength(r)
	if err != nil {
		return nil, err
	}
	payload := make([]byte, length+1)
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, unexpected(err)
	}
	if payload[length] != ',' {
		return nil, fmt.Errorf("%w: %q after the payload, not a comma", ErrMalformed, payload[length])
	}
	return payload[:length], nil
}

func readLength(r *bufio.Reader) (int, error) {
	length, digits := 0, 0
	for {
		c, err := r.ReadByte()
		switch {
		case err != nil && digits > 0:
			return 0, unexpected(err)
		case err != nil:
			return 0, err
		case c == ':' && digits > 0:
			return length, checkLength(length)
		case c < '0' || c > '9':
			return 0, fmt.Errorf("%w: %q in the length, not a digit", ErrMalformed, c)
		case digits == 1 && length == 0:
			return 0, fmt.Errorf("%w: the length begins with a zero", ErrMalformed)
		case digits == maxDigits:
			return 0, fmt.Errorf("%w: a length of more than %d digits", ErrMalformed, maxDigits)
		}
		length, digits = length*10+int(c-'0'), digits+1
	}
}

func checkLength(length int) error {
	if length > MaxLength {
		return fmt.Errorf("%w: a length of %d bytes, at most %d are read", ErrMalformed, length, MaxLength)
	}
	return nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
