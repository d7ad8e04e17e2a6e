package resp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Error is a reply by which a server refuses a command, such as
// "MOVED 42 127.0.0.1:7001".
type Error string

// Error returns the server's own words.
func (e Error) Error() string { return string(e) }

// Code is the first word: ERR, MOVED, WRONGTYPE, ...
func (e Error) Code() string {
	code, _, _ := strings.Cut(string(e), " ")
	return code
}

// Limits far above what a server sends: they stop a stray byte in a length
// from taking all memory.
const (
	maxBulk  = 512 << 20
	maxItems = 16 << 20
	maxDepth = 16
)

func readReply(in *bufio.Reader, depth int) (any, error) {
	line, err := readLine(in)
	if err != nil {
		return nil, err
	}
	switch body := line[1:]; line[0] {
	case '+':
		return body, nil
	case '-':
		return Error(body), nil
	case ':':
		return strconv.ParseInt(body, 10, 64)
	case '$':
		return readBulk(in, body)
	case '*':
		return readArray(in, body, depth)
	}
	return nil, fmt.Errorf("reply %.40q is not RESP2", line)
}

func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok || text == "" {
		return "", fmt.Errorf("reply line %.40q has no end or no type", line)
	}
	return text, nil
}

func readBulk(in *bufio.Reader, length string) (any, error) {
	n, err := readLength(length, maxBulk)
	if err != nil || n < 0 {
		return nil, err
	}
	data := make([]byte, n+2)
	if _, err := io.ReadFull(in, data); err != nil {
		return nil, err
	}
	if string(data[n:]) != "\r\n" {
		return nil, errors.New("bulk reply is longer than it says")
	}
	return string(data[:n]), nil
}

func readArray(in *bufio.Reader, length string, depth int) (any, error) {
	n, err := readLength(length, maxItems)
	if err != nil || n < 0 {
		return nil, err
	}
	if depth == maxDepth {
		return nil, errors.New("reply is nested too deeply")
	}
	items := []any{}
	for range n {
		item, err := readReply(in, depth+1)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

// readLength returns -1 for RESP2's null.
func readLength(s string, limit int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < -1 || n > limit {
		return 0, fmt.Errorf("reply length %.40q is out of range", s)
	}
	return n, nil
}
