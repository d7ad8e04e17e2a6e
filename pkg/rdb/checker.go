package rdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"strconv"
	"strings"
)

// Checksum is that behind files and serialised values.
func Checksum(data []byte) uint64 {
	return ^crc64.Update(^uint64(0), crc64.MakeTable(jones), data)
}

// jones is the polynomial of the checksum, as hash/crc64 wants it.
const jones = 0x95ac9329ac4bc9b5

// Checker looks at a file that is written to it: whether it begins and ends as one,
// and its checksum.
type Checker struct {
	table *crc64.Table
	crc   uint64 // of everything but the tail
	head  []byte
	tail  []byte
}

// The parts of a file that every version has.
const (
	headLength = 9 // REDIS0010, VALKEY080
	tailLength = 9 // the mark of the end, and the checksum of all before it
)

// oldestWithChecksum is the first version that ends with one.
const oldestWithChecksum = 5

// NewChecker is for one file.
func NewChecker() *Checker { return &Checker{table: crc64.MakeTable(jones), crc: ^uint64(0)} }

// Write never fails.
func (c *Checker) Write(p []byte) (int, error) {
	if missing := headLength - len(c.head); missing > 0 {
		c.head = append(c.head, p[:min(missing, len(p))]...)
	}
	c.follow(p)
	return len(p), nil
}

// follow keeps the last bytes, which may be the tail, out of the checksum.
func (c *Checker) follow(p []byte) {
	if len(p) >= tailLength {
		c.crc = crc64.Update(c.crc, c.table, c.tail)
		c.crc = crc64.Update(c.crc, c.table, p[:len(p)-tailLength])
		c.tail = append(c.tail[:0], p[len(p)-tailLength:]...)
		return
	}
	c.tail = append(c.tail, p...)
	if extra := len(c.tail) - tailLength; extra > 0 {
		c.crc = crc64.Update(c.crc, c.table, c.tail[:extra])
		c.tail = append(c.tail[:0], c.tail[extra:]...)
	}
}

// Whole returns the version of a file that has come to its end and is what the
// server wrote, as far as the file itself can tell.
func (c *Checker) Whole() (version int, err error) {
	version, _, err = parseHead(c.head)
	switch {
	case err != nil || version < oldestWithChecksum:
		return version, err
	case len(c.tail) < tailLength || c.tail[0] != partEnd:
		return version, errors.New("it does not end as an RDB file: a part is missing")
	}
	want := binary.LittleEndian.Uint64(c.tail[1:])
	got := ^crc64.Update(c.crc, c.table, c.tail[:1])
	if want != 0 && want != got { // 0: rdbchecksum no
		return version, fmt.Errorf("its own checksum is %016x, and its contents have %016x: it is damaged", want, got)
	}
	return version, nil
}

var errNoRDB = errors.New("it is no RDB file")

// parseHead reads the version of the form, and whose form it is.
func parseHead(head []byte) (version int, valkey bool, err error) {
	digits, redis := strings.CutPrefix(string(head), "REDIS")
	if !redis {
		digits, valkey = strings.CutPrefix(string(head), "VALKEY")
	}
	n, err := strconv.ParseUint(digits, 10, 15)
	if err != nil || n == 0 || !redis && !valkey || len(head) != headLength {
		return 0, false, errNoRDB
	}
	return int(n), valkey, nil
}
