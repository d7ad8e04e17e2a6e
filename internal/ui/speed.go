package ui

import "time"

// memory is how far back a speed looks: long enough to be calm, short enough to
// follow a change.
const memory = 15 * time.Second

// speed is how fast something has gone of late.
type speed struct {
	samples []sample // oldest first; the oldest is the last one outside of memory
	slots   int
}

// sample is what had been moved at a time.
type sample struct {
	at    time.Time
	slots int
	keys  int64
	bytes int64
}

// take adds slots to those moved, and says how many keys and bytes were moved in
// all.
func (s *speed) take(now time.Time, slots int, keys, bytes int64) {
	s.slots += slots
	if n := len(s.samples); n > 1 && now.Sub(s.samples[n-2].at) < time.Second {
		s.samples = s.samples[:n-1] // one for each second is enough, beside the last
	}
	s.samples = append(s.samples, sample{now, s.slots, keys, bytes})
	for len(s.samples) > 2 && now.Sub(s.samples[1].at) >= memory {
		s.samples = s.samples[1:]
	}
}

// text is "3,400 keys/s", "1.2 MiB/s" and "12s left", as far as they can be told.
func (s *speed) text(now time.Time, left int) []string {
	if len(s.samples) == 0 {
		return nil
	}
	first, last := s.samples[0], s.samples[len(s.samples)-1]
	elapsed := now.Sub(first.at)
	if elapsed < time.Second {
		return nil
	}
	each := func(n int64) int64 { return int64(float64(n) / elapsed.Seconds()) }
	parts := []string{grouped(each(last.keys-first.keys)) + " keys/s"}
	if bytes := each(last.bytes - first.bytes); bytes > 0 {
		parts = append(parts, byteSize(bytes)+"/s")
	}
	if moved := last.slots - first.slots; moved > 0 && left > 0 {
		parts = append(parts, span((elapsed*time.Duration(left)/time.Duration(moved)).Round(time.Second))+" left")
	}
	return parts
}
