package cluster_test

import (
	"testing"

	"github.com/trib-dev/trib/pkg/cluster"
)

// TestKeySlot holds slots against the cluster specification's own example and
// against what servers answered to CLUSTER KEYSLOT.
func TestKeySlot(t *testing.T) {
	tests := []struct {
		name, key string
		want      int
	}{
		{"the specification's CRC16 vector", "123456789", 0x31C3 % 16384},
		{"the same in decimal", "123456789", 12739},
		{"empty", "", 0},
		{"one letter", "a", 15495},
		{"foo", "foo", 12182},
		{"bar", "bar", 5061},
		{"hash tag", "{user1000}.following", 3443},
		{"hash tag of the same user", "{user1000}.followers", 3443},
		{"what stands in the tag", "user1000", 3443},
		{"empty tag: the whole key", "foo{}{bar}", 8363},
		{"tag with a brace", "foo{{bar}}zap", 4015},
		{"tag with a brace, alone", "{bar", 4015},
		{"only the first tag", "foo{bar}{zap}", 5061},
		{"tag that is not closed", "foo{bar", 15278},
		{"closed before it is opened", "}foo{", 8453},
		{"binary", "\x00\xff\r\n", 6261},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := cluster.KeySlot(tt.key); got != tt.want {
				t.Errorf("slot of %q: %d, want %d", tt.key, got, tt.want)
			}
		})
	}
}
