package cluster

import "strings"

// KeySlot is the slot, 0 to 16383, that a key belongs to: CRC16 (XMODEM) of
// the key, or of its hash tag, modulo 16384.
func KeySlot(key string) int {
	return int(crc16(HashTag(key))) % SlotCount
}

// HashTag is what of a key decides its slot: what stands between the first '{'
// and the next '}', where that is not empty, and otherwise the whole key.
func HashTag(key string) string {
	_, rest, found := strings.Cut(key, "{")
	if !found {
		return key
	}
	tag, _, found := strings.Cut(rest, "}")
	if !found || tag == "" {
		return key
	}
	return tag
}

// crc16 works bit by bit: keys hashed here are few (the data path is the
// servers'), and a table of 256 constants would need checking too.
func crc16(s string) uint16 {
	const poly = 0x1021
	var crc uint16
	for i := range len(s) {
		crc ^= uint16(s[i]) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			crc <<= 1
			if carry {
				crc ^= poly
			}
		}
	}
	return crc
}
