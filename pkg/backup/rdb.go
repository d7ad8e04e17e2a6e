package backup

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"strconv"
	"strings"
)

// sieve looks at an RDB file that passes through it: whether it begins and ends as
// one, and its checksums.
type sieve struct {
	bytes int64
	sum   hash.Hash
	table *crc64.Table
	crc   uint64 // of everything but the tail
	head  []byte
	tail  []byte
}

// The parts of a file that every version has.
const (
	headLength = 9 // REDIS0010, VALKEY080
	tailLength = 9 // the mark of the end, and the checksum of all before it
	endMark    = 0xff
)

// oldestWithChecksum is the first version that ends with one.
const oldestWithChecksum = 5

// jones is the polynomial of the checksum, as hash/crc64 wants it.
const jones = 0x95ac9329ac4bc9b5

func newSieve() *sieve {
	return &sieve{sum: sha256.New(), table: crc64.MakeTable(jones), crc: ^uint64(0)}
}

// Write never fails.
func (s *sieve) Write(p []byte) (int, error) {
	s.bytes += int64(len(p))
	s.sum.Write(p)
	if missing := headLength - len(s.head); missing > 0 {
		s.head = append(s.head, p[:min(missing, len(p))]...)
	}
	s.follow(p)
	return len(p), nil
}

// follow keeps the last bytes, which may be the tail, out of the checksum.
func (s *sieve) follow(p []byte) {
	if len(p) >= tailLength {
		s.crc = crc64.Update(s.crc, s.table, s.tail)
		s.crc = crc64.Update(s.crc, s.table, p[:len(p)-tailLength])
		s.tail = append(s.tail[:0], p[len(p)-tailLength:]...)
		return
	}
	s.tail = append(s.tail, p...)
	if extra := len(s.tail) - tailLength; extra > 0 {
		s.crc = crc64.Update(s.crc, s.table, s.tail[:extra])
		s.tail = append(s.tail[:0], s.tail[extra:]...)
	}
}

func (s *sieve) total(name string) Sum {
	return Sum{Name: name, Bytes: s.bytes, SHA256: hex.EncodeToString(s.sum.Sum(nil))}
}

var errNoRDB = errors.New("it is no RDB file")

// version is that of the format.
func (s *sieve) version() (int, error) {
	digits, redis := strings.CutPrefix(string(s.head), "REDIS")
	if !redis {
		var valkey bool
		if digits, valkey = strings.CutPrefix(string(s.head), "VALKEY"); !valkey {
			return 0, errNoRDB
		}
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || len(s.head) < headLength {
		return 0, errNoRDB
	}
	return n, nil
}

// whole returns the version of a file that has come to its end and is what the
// server wrote, as far as the file itself can tell.
func (s *sieve) whole() (int, error) {
	version, err := s.version()
	switch {
	case err != nil || version < oldestWithChecksum:
		return version, err
	case len(s.tail) < tailLength || s.tail[0] != endMark:
		return version, errors.New("it does not end as an RDB file: a part is missing")
	}
	want := binary.LittleEndian.Uint64(s.tail[1:])
	got := ^crc64.Update(s.crc, s.table, s.tail[:1])
	if want != 0 && want != got { // 0: rdbchecksum no
		return version, fmt.Errorf("its own checksum is %016x, and its contents have %016x: it is damaged", want, got)
	}
	return version, nil
}
