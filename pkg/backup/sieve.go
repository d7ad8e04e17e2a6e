package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"

	"github.com/trib-dev/trib/pkg/rdb"
)

// sieve takes the checksums of a file that passes through it.
type sieve struct {
	*rdb.Checker
	bytes int64
	sum   hash.Hash
}

func newSieve() *sieve { return &sieve{Checker: rdb.NewChecker(), sum: sha256.New()} }

// Write never fails.
func (s *sieve) Write(p []byte) (int, error) {
	s.bytes += int64(len(p))
	s.sum.Write(p)
	return s.Checker.Write(p)
}

func (s *sieve) total(name string) Sum {
	return Sum{Name: name, Bytes: s.bytes, SHA256: hex.EncodeToString(s.sum.Sum(nil))}
}
