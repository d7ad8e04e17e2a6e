package goredis

import (
	"io"
	"strings"
)

// wire keeps what arrives. A text comes in one piece of memory and through one
// buffer: go-redis's way would take a new buffer for each.
type wire struct {
	strings.Builder
	chunk []byte
}

const chunkSize = 4 << 10

// ReadFrom reads a text, whose length go-redis announces by the limit.
func (w *wire) ReadFrom(r io.Reader) (read int64, err error) {
	if limited, ok := r.(*io.LimitedReader); ok {
		w.Grow(int(min(limited.N, 1<<20))) // what was announced may never come
	}
	if w.chunk == nil {
		w.chunk = make([]byte, chunkSize)
	}
	for {
		n, err := r.Read(w.chunk)
		w.Write(w.chunk[:n])
		read += int64(n)
		if err == io.EOF {
			return read, nil
		}
		if err != nil {
			return read, err
		}
	}
}
