package goredis

import (
	"strconv"
	"strings"

	"github.com/trib-dev/trib/pkg/driver"
)

// reader reads RESP2 replies that have been received.
type reader struct {
	text  string
	clean func(string) string // for texts of errors
}

// value is the next reply: a string, an int64, nil, a *driver.ServerError, or a
// []any of these. It is not ok where the reply is incomplete, or no RESP2.
func (r *reader) value() (v any, ok bool) {
	line, rest, ok := strings.Cut(r.text, "\r\n")
	if !ok || line == "" {
		return nil, false
	}
	r.text = rest
	switch body := line[1:]; line[0] {
	case '+':
		return body, true
	case '-':
		return &driver.ServerError{Text: r.clean(body)}, true
	case ':':
		n, err := strconv.ParseInt(body, 10, 64)
		return n, err == nil
	case '$':
		return r.bulk(body)
	case '*':
		return r.list(body)
	}
	return nil, false
}

func (r *reader) bulk(length string) (v any, ok bool) {
	n, err := strconv.Atoi(length)
	switch {
	case n == -1 && err == nil:
		return nil, true
	case err != nil || n < 0 || n > len(r.text)-2 || r.text[n:n+2] != "\r\n":
		return nil, false
	}
	v, r.text = r.text[:n], r.text[n+2:]
	return v, true
}

func (r *reader) list(length string) (v any, ok bool) {
	n, err := strconv.Atoi(length)
	switch {
	case n == -1 && err == nil:
		return nil, true
	case err != nil || n < 0:
		return nil, false
	}
	items := []any{}
	for range n {
		item, ok := r.value()
		if !ok {
			return nil, false
		}
		items = append(items, item)
	}
	return items, true
}
