package move

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestPace(t *testing.T) {
	const block = 10 * time.Millisecond
	type size struct {
		keys  int
		bytes int64
	}
	fresh := size{100, mostBytes}
	for _, tt := range []struct {
		name       string
		from, sent size
		took       time.Duration
		want       size
	}{
		{"too long: half of what was sent", fresh, size{60, 600_000}, block + 1, size{30, 300_000}},
		{"too long, and little was sent", fresh, size{1, 10}, block + 1, size{1, leastBytes}},
		{"quick: a quarter more", size{40, 400_000}, size{40, 400_000}, block/2 - 1, size{51, 500_000}},
		{"quick, at the limit", fresh, fresh, 0, fresh},
		{"quick, near the limit", size{99, mostBytes - 1}, fresh, 0, fresh},
		{"just right", size{40, 400_000}, size{40, 400_000}, block/2 + 1, size{40, 400_000}},
		{"the least grows again", size{1, leastBytes}, size{1, 10}, 0, size{2, leastBytes + leastBytes/4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPace(Options{Batch: 100, MaxBlock: block})
			p.keys, p.bytes = tt.from.keys, tt.from.bytes
			p.took(tt.took, tt.sent.keys, tt.sent.bytes)
			if got := (size{p.keys, p.bytes}); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// Whatever happens, a MIGRATE carries something, and no more than it may.
func TestPaceStaysWithinBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPace(Options{Batch: rapid.IntRange(1, 10_000).Draw(t, "batch"), MaxBlock: 10 * time.Millisecond})
		for range 50 {
			took := time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "took"))
			p.took(took, rapid.IntRange(1, p.keys).Draw(t, "keys"), rapid.Int64Range(0, 1<<40).Draw(t, "bytes"))
			if p.keys < 1 || p.keys > p.most || p.bytes < leastBytes || p.bytes > mostBytes {
				t.Fatalf("%+v", p)
			}
		}
	})
}

func TestThrottle(t *testing.T) {
	type amount struct{ keys, bytes int64 }
	for _, tt := range []struct {
		name  string
		t     *Throttle
		each  amount
		times int
		want  time.Duration
	}{
		{"none", nil, amount{1e6, 1e12}, 100, 0},
		{"no limits", NewThrottle(0, 0), amount{1e6, 1e12}, 100, 0},
		{"what passes at once", NewThrottle(1000, 0), amount{100, 1e12}, 1, 0},
		{"keys", NewThrottle(1000, 0), amount{100, 1e12}, 21, 2 * time.Second},
		{"more at a time than passes at once", NewThrottle(1000, 0), amount{2100, 0}, 1, 2 * time.Second},
		{"bytes", NewThrottle(0, 1_000_000), amount{1e6, 100_000}, 31, 3 * time.Second},
		{"the tighter of both", NewThrottle(1000, 1_000_000), amount{100, 10_000}, 21, 2 * time.Second},
		{"less than passes in a tenth of a second", NewThrottle(1, 0), amount{1, 0}, 4, 3 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				for range tt.times {
					if err := tt.t.wait(t.Context(), tt.each.keys, tt.each.bytes); err != nil {
						t.Fatal(err)
					}
				}
				if took := time.Since(start); (took - tt.want).Abs() > time.Millisecond {
					t.Errorf("took %v, want %v", took, tt.want)
				}
			})
		})
	}
}

func TestThrottleStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		err := NewThrottle(1, 0).wait(ctx, 100, 0)
		if took := time.Since(start); !errors.Is(err, context.Canceled) || took != time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// TestWait: whoever is to stop waits for nothing.
func TestWait(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := NewThrottle(1, 0).Wait(ctx, 100, 0); err == nil {
		t.Error("a hundred keys go at once")
	}
	if err := NewThrottle(0, 0).Wait(t.Context(), 100, 100); err != nil {
		t.Errorf("error is %v", err)
	}
}
