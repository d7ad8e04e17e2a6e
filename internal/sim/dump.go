package sim

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc64"
)

// Real payloads end with two bytes of format version and eight of checksum, and
// a server refuses those of newer formats. The simulator keeps that footer, and
// puts JSON before it.
const footer = 10

type payload struct {
	List  bool     `json:"list,omitempty"`
	Text  []byte   `json:"text,omitempty"`
	Items [][]byte `json:"items,omitempty"`
}

var errPayload = errors.New("ERR DUMP payload version or checksum are wrong")

func (n *Node) dump(e *entry) string {
	p := payload{List: e.list, Text: []byte(e.text)}
	for _, item := range e.items {
		p.Items = append(p.Items, []byte(item))
	}
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // bytes and booleans always marshal
	}
	body = binary.LittleEndian.AppendUint16(body, n.rules.dump)
	return string(binary.LittleEndian.AppendUint64(body, checksum(body)))
}

// restore is the inverse of dump.
func (n *Node) restore(text string) (*entry, error) {
	b := []byte(text)
	if len(b) < footer {
		return nil, errPayload
	}
	signed, sum := b[:len(b)-8], b[len(b)-8:]
	body, version := signed[:len(signed)-2], signed[len(signed)-2:]
	if checksum(signed) != binary.LittleEndian.Uint64(sum) || binary.LittleEndian.Uint16(version) > n.rules.dump {
		return nil, errPayload
	}
	var p payload
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, errors.New("ERR Bad data format")
	}
	e := &entry{list: p.List, text: string(p.Text)}
	for _, item := range p.Items {
		e.items = append(e.items, string(item))
	}
	return e, nil
}

func checksum(b []byte) uint64 { return crc64.Checksum(b, crc64.MakeTable(crc64.ECMA)) }
