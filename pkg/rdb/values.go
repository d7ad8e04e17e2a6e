package rdb

import "fmt"

// The types of values.
const (
	typeString = iota
	typeList
	typeSet
	typeZSetText
	typeHash
	typeZSet
	typeModuleOld
	typeModule
	_
	typeHashZipmap
	typeListZiplist
	typeSetIntset
	typeZSetZiplist
	typeHashZiplist
	typeListQuick
	typeStream
	typeHashListpack
	typeZSetListpack
	typeListQuick2
	typeStream2
	typeSetListpack
	typeStream3
	typeHashTimes // of Valkey
	_
	typeHashMeta       // of Redis
	typeHashListpackEx // of Redis
)

// kindOf is what TYPE says of a value.
func kindOf(kind byte) string {
	switch kind {
	case typeString:
		return "string"
	case typeList, typeListZiplist, typeListQuick, typeListQuick2:
		return "list"
	case typeSet, typeSetIntset, typeSetListpack:
		return "set"
	case typeZSet, typeZSetText, typeZSetZiplist, typeZSetListpack:
		return "zset"
	case typeStream, typeStream2, typeStream3:
		return "stream"
	case typeModule:
		return "module"
	}
	return "hash"
}

// skipValue passes over a value.
func (r *reader) skipValue(kind byte, valkey bool) error {
	switch kind {
	case typeString, typeHashZipmap, typeListZiplist, typeSetIntset, typeZSetZiplist, typeHashZiplist,
		typeHashListpack, typeZSetListpack, typeSetListpack:
		return r.skipText()
	case typeList, typeSet, typeListQuick:
		return r.each(r.skipText)
	case typeHash:
		return r.each(r.skipText, r.skipText)
	case typeZSet:
		return r.each(r.skipText, r.raw(8))
	case typeZSetText:
		return r.each(r.skipText, r.skipFloat)
	case typeListQuick2:
		return r.each(r.skipLength, r.skipText)
	case typeStream, typeStream2, typeStream3:
		return r.skipStream(kind)
	case typeModule:
		return r.all(r.skipLength, r.skipModule)
	case typeHashTimes:
		if valkey {
			return r.each(r.skipText, r.skipText, r.raw(8))
		}
	case typeHashMeta:
		return r.all(r.raw(8), func() error { return r.each(r.skipLength, r.skipText, r.skipText) })
	case typeHashListpackEx:
		return r.all(r.raw(8), r.skipText)
	}
	return fmt.Errorf("a value of the unknown type %d", kind)
}

// all does one thing after the other.
func (r *reader) all(parts ...func() error) error {
	for _, part := range parts {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// each does all parts as often as the number says that comes first.
func (r *reader) each(parts ...func() error) error {
	n, err := r.length()
	for ; n > 0 && err == nil; n-- {
		err = r.all(parts...)
	}
	return err
}

func (r *reader) raw(n uint64) func() error { return func() error { return r.skip(n) } }

func (r *reader) skipLength() error {
	_, err := r.length()
	return err
}

// skipFloat passes over a number as text, or one of three that are none.
func (r *reader) skipFloat() error {
	n, err := r.ReadByte()
	if err != nil || n >= 253 {
		return err
	}
	return r.skip(uint64(n))
}

// skipStream passes over entries, counters, and groups with their consumers.
func (r *reader) skipStream(kind byte) error {
	counters, groupCounters, consumerTimes := 3, 2, uint64(8)
	if kind >= typeStream2 {
		counters, groupCounters = counters+5, groupCounters+1
	}
	if kind >= typeStream3 {
		consumerTimes += 8
	}
	lengths := func(n int) func() error {
		return func() error {
			for range n {
				if err := r.skipLength(); err != nil {
					return err
				}
			}
			return nil
		}
	}
	pending := func() error { return r.each(r.raw(16+8), r.skipLength) }
	consumers := func() error {
		return r.each(r.skipText, r.raw(consumerTimes), func() error { return r.each(r.raw(16)) })
	}
	return r.all(
		func() error { return r.each(r.skipText, r.skipText) },
		lengths(counters),
		func() error { return r.each(r.skipText, lengths(groupCounters), pending, consumers) },
	)
}

// skipModule passes over what a module has written, to its end.
func (r *reader) skipModule() error {
	for {
		n, err := r.length()
		if err != nil {
			return err
		}
		switch n {
		case 0:
			return nil
		case 1, 2:
			err = r.skipLength()
		case 3:
			err = r.skip(4)
		case 4:
			err = r.skip(8)
		case 5:
			err = r.skipText()
		default:
			err = fmt.Errorf("a part of the unknown type %d in the value of a module", n)
		}
		if err != nil {
			return err
		}
	}
}
