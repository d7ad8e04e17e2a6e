package goredis_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/driver/goredis"
)

// sending is a server that answers SYNC by a script, and everything else as old
// servers do.
func sending(t *testing.T, sync func(s *session)) *server {
	return serve(t, func(s *session, cmd []string) {
		switch strings.ToUpper(cmd[0]) {
		case "REPLCONF":
			s.say("-ERR Unrecognized REPLCONF option: " + cmd[1] + "\r\n")
		case "SYNC":
			sync(s)
		case "HELLO":
			s.say("-ERR unknown command\r\n")
		default:
			s.say("+PONG\r\n")
		}
	})
}

func snapshot(t *testing.T, s *server, o driver.SnapshotOptions, w io.Writer) error {
	t.Helper()
	return driver.Snapshot(t.Context(), goredis.New(goredis.Options{}), s.addr, "", o, w)
}

var patient = driver.SnapshotOptions{Begin: 10 * time.Second, Idle: 10 * time.Second}

func TestSnapshot(t *testing.T) {
	mark := strings.Repeat("0123456789", 4)
	data := strings.Repeat("REDIS\r\n\x00\xff"+mark[:39], 5000)
	slowly := func(s *session, text string) {
		for len(text) > 0 {
			n := min(7777, len(text))
			s.say(text[:n])
			text = text[n:]
		}
	}
	tests := []struct {
		name string
		sync func(s *session)
		want string
	}{
		{"of a known length", func(s *session) { s.say("\n\n"); slowly(s, bulk(data)) }, data},
		{"with a mark", func(s *session) { s.say("\n$EOF:" + mark + "\r\n"); slowly(s, data+mark) }, data},
		{"with a mark in one piece", func(s *session) { s.say("$EOF:" + mark + "\r\n" + "x" + mark) }, "x"},
		{"in single bytes", func(s *session) {
			for _, b := range []byte("$EOF:" + mark + "\r\n" + "abc" + mark) {
				s.say(string(rune(b)))
			}
		}, "abc"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got bytes.Buffer
			if err := snapshot(t, sending(t, tt.sync), patient, &got); err != nil || got.String() != tt.want {
				t.Errorf("%d bytes, want %d: %v", got.Len(), len(tt.want), err)
			}
		})
	}
}

// TestSnapshotFails bounds every wait, and keeps the kinds of failure apart.
func TestSnapshotFails(t *testing.T) {
	short := driver.SnapshotOptions{Begin: 300 * time.Millisecond, Idle: 200 * time.Millisecond}
	stand := func(s *session) { io.Copy(io.Discard, s) }
	tests := []struct {
		name string
		sync func(s *session)
		is   func(error) bool
	}{
		{"refused", func(s *session) { s.say("-NOPERM no permission\r\n") }, func(err error) bool { return driver.HasCode(err, "NOPERM") }},
		{"hung up before", func(s *session) { s.Close() }, driver.IsTransport},
		{"hung up within", func(s *session) { s.say("$1000\r\nabc"); s.Close() }, driver.IsTransport},
		{"hung up before the mark", func(s *session) { s.say("$EOF:" + strings.Repeat("m", 40) + "\r\nabc"); s.Close() }, driver.IsTransport},
		{"silent", stand, func(err error) bool { return driver.IsTransport(err) && errors.Is(err, os.ErrDeadlineExceeded) }},
		{"stuck", func(s *session) { s.say("$1000\r\nabc"); stand(s) }, driver.IsTransport},
		{"never ready", func(s *session) {
			for range 30 {
				s.say("\n")
				time.Sleep(50 * time.Millisecond)
			}
		}, driver.IsTransport},
		{"no snapshot", func(s *session) { s.say("+OK\r\n") }, driver.IsTransport},
		{"a strange length", func(s *session) { s.say("$-5\r\n") }, driver.IsTransport},
		{"no end of the line", func(s *session) { s.say(strings.Repeat("x", 200_000)) }, driver.IsTransport},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			if err := snapshot(t, sending(t, tt.sync), short, io.Discard); err == nil || !tt.is(err) {
				t.Errorf("%T %v", err, err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestSnapshotKeepsTheWritersError(t *testing.T) {
	err := snapshot(t, sending(t, func(s *session) { s.say(bulk("abc")) }), patient, full{})
	if !errors.Is(err, errFull) || driver.IsTransport(err) {
		t.Errorf("%T %v", err, err)
	}
}

func TestSnapshotCancelled(t *testing.T) {
	begun := make(chan struct{})
	s := sending(t, func(s *session) { s.say("\n"); close(begun); io.Copy(io.Discard, s) })
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-begun; cancel(errFull) }()
	if err := driver.Snapshot(ctx, goredis.New(goredis.Options{}), s.addr, "", patient, io.Discard); !errors.Is(err, errFull) {
		t.Errorf("%v", err)
	}
}
