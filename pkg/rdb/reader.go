package rdb

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// reader reads the parts that a file is made of, and knows where it is.
type reader struct {
	in  *bufio.Reader
	pos int64
}

func (r *reader) ReadByte() (byte, error) {
	b, err := r.in.ReadByte()
	if err == nil {
		r.pos++
	}
	return b, unexpected(err)
}

// unexpected is the end of a file within it.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (r *reader) bytes(n uint64) ([]byte, error) {
	if n > longest {
		return nil, fmt.Errorf("a text of %d bytes", n)
	}
	b := make([]byte, 0, min(n, 64<<10)) // the length may be a lie
	for uint64(len(b)) < n {
		part := min(n-uint64(len(b)), 64<<10)
		b = append(b, make([]byte, part)...)
		got, err := io.ReadFull(r.in, b[uint64(len(b))-part:])
		r.pos += int64(got)
		if err != nil {
			return nil, unexpected(err)
		}
	}
	return b, nil
}

// longest is far above what a server takes as a key or a library.
const longest = 1 << 30

func (r *reader) skip(n uint64) error {
	for n > 0 {
		part := int(min(n, 1<<20))
		got, err := r.in.Discard(part)
		r.pos += int64(got)
		if err != nil {
			return unexpected(err)
		}
		n -= uint64(part)
	}
	return nil
}

// The kinds of a length, in its first two bits.
const (
	short   = 0 // six bits
	middle  = 1 // 14 bits
	long    = 2 // a word behind it
	special = 3 // no length: a text in another form
)

// header reads a length or, where it is special, the form of a text.
func (r *reader) header() (n uint64, isSpecial bool, err error) {
	b, err := r.ReadByte()
	if err != nil {
		return 0, false, err
	}
	low := uint64(b & 0x3f)
	switch b >> 6 {
	case short:
		return low, false, nil
	case middle:
		next, err := r.ReadByte()
		return low<<8 | uint64(next), false, err
	case special:
		return low, true, nil
	}
	switch low {
	case 0:
		n, err = r.word(4, binary.BigEndian)
		return n, false, err
	case 1:
		n, err = r.word(8, binary.BigEndian)
		return n, false, err
	}
	return 0, false, fmt.Errorf("a length that begins with %#x", b)
}

func (r *reader) word(size int, order binary.ByteOrder) (uint64, error) {
	b, err := r.bytes(uint64(size))
	if err != nil {
		return 0, err
	}
	switch size {
	case 1:
		return uint64(b[0]), nil
	case 2:
		return uint64(order.Uint16(b)), nil
	case 4:
		return uint64(order.Uint32(b)), nil
	}
	return order.Uint64(b), nil
}

func (r *reader) length() (uint64, error) {
	n, isSpecial, err := r.header()
	if err == nil && isSpecial {
		err = errors.New("a text stands where a length belongs")
	}
	return n, err
}

// The forms of a text.
const (
	asInt8 = iota
	asInt16
	asInt32
	asLZF
)

// text reads a text, whatever its form.
func (r *reader) text() (string, error) {
	n, isSpecial, err := r.header()
	if err != nil {
		return "", err
	}
	if !isSpecial {
		b, err := r.bytes(n)
		return string(b), err
	}
	switch n {
	case asInt8, asInt16, asInt32:
		return r.number(int(n))
	case asLZF:
		return r.compressed()
	}
	return "", fmt.Errorf("a text in form %d", n)
}

func (r *reader) number(form int) (string, error) {
	v, err := r.word(1<<form, binary.LittleEndian)
	shift := 64 - 8<<form
	return strconv.FormatInt(int64(v<<shift)>>shift, 10), err
}

func (r *reader) compressed() (string, error) {
	packed, err := r.length()
	if err != nil {
		return "", err
	}
	size, err := r.length()
	if err != nil {
		return "", err
	}
	b, err := r.bytes(packed)
	if err != nil {
		return "", err
	}
	return unpack(b, size)
}

// unpack is the inverse of LZF: pieces of text, and references to what came before.
func unpack(in []byte, size uint64) (string, error) {
	errBad := errors.New("a compressed text that cannot be read")
	if size > longest {
		return "", errBad
	}
	var out []byte
	for i := 0; i < len(in); {
		control := int(in[i])
		i++
		if control < 32 {
			if i+control+1 > len(in) {
				return "", errBad
			}
			out = append(out, in[i:i+control+1]...)
			i += control + 1
			continue
		}
		n := control >> 5
		if n == 7 && i < len(in) {
			n += int(in[i])
			i++
		}
		if i >= len(in) {
			return "", errBad
		}
		from := len(out) - (control&0x1f)<<8 - int(in[i]) - 1
		i++
		if from < 0 || uint64(len(out)+n+2) > size {
			return "", errBad
		}
		for range n + 2 { // it may refer to what it adds itself
			out = append(out, out[from])
			from++
		}
	}
	if uint64(len(out)) != size {
		return "", errBad
	}
	return string(out), nil
}

// skipText passes over a text.
func (r *reader) skipText() error {
	n, isSpecial, err := r.header()
	switch {
	case err != nil:
		return err
	case !isSpecial:
		return r.skip(n)
	}
	switch n {
	case asInt8, asInt16, asInt32:
		return r.skip(1 << n)
	case asLZF:
		packed, err := r.length()
		if err != nil {
			return err
		}
		if _, err := r.length(); err != nil {
			return err
		}
		return r.skip(packed)
	}
	return fmt.Errorf("a text in form %d", n)
}
