package rdb

import (
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// whole is a file with the right end.
func whole(magic, body string) string {
	text := magic + body + "\xff"
	return string(binary.LittleEndian.AppendUint64([]byte(text), Checksum([]byte(text))))
}

func TestChecksum(t *testing.T) {
	// The servers' own tests have this number.
	if got := Checksum([]byte("123456789")); got != 0xe9c6d914c4b8d9ca {
		t.Errorf("%x", got)
	}
}

func TestChecker(t *testing.T) {
	good := whole("REDIS0010", "body")
	tests := []struct {
		name, file string
		version    int
		says       string
	}{
		{"good", good, 10, ""},
		{"of Valkey", whole("VALKEY080", ""), 80, ""},
		{"without checksum", good[:len(good)-8] + strings.Repeat("\x00", 8), 10, ""},
		{"old", "REDIS0003anything", 3, ""},
		{"empty", "", 0, "no RDB file"},
		{"cut in the head", good[:7], 0, "no RDB file"},
		{"another kind of file", "<html>...........", 0, "no RDB file"},
		{"strange version", whole("REDIS-010", ""), 0, "no RDB file"},
		{"cut at the end", good[:len(good)-1], 10, "a part is missing"},
		{"cut in the body", good[:12], 10, "a part is missing"},
		{"a changed byte", strings.Replace(good, "body", "bodi", 1), 10, "damaged"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := NewChecker()
			io.WriteString(c, tt.file)
			version, err := c.Whole()
			if version != tt.version || tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("version %d, %v", version, err)
			}
		})
	}
}

// However a file comes in, it is judged the same.
func TestCheckerTakesAnyPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		file := whole("REDIS0011", rapid.String().Draw(t, "body"))
		c := NewChecker()
		for rest := file; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			io.WriteString(c, rest[:n])
			rest = rest[n:]
		}
		if version, err := c.Whole(); version != 11 || err != nil {
			t.Fatalf("version %d, %v", version, err)
		}
	})
}
