package goredis

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestWire(t *testing.T) {
	long := strings.Repeat("0123456789", 2*chunkSize)
	var w wire
	for _, text := range []string{"", "a", long} {
		if n, err := io.CopyN(&w, strings.NewReader(text+"more"), int64(len(text))); err != nil || n != int64(len(text)) {
			t.Errorf("%d bytes of %d: %v", n, len(text), err)
		}
	}
	if got := w.String(); got != "a"+long {
		t.Errorf("%d bytes arrived changed", len(got))
	}
	// What is announced is not believed before it comes.
	w = wire{}
	if n, err := io.CopyN(&w, strings.NewReader("ab"), 1<<40); n != 2 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes of an endless text: %v", n, err)
	}
	if w.Cap() > 2<<20 {
		t.Errorf("%d bytes of room for two", w.Cap())
	}
}
