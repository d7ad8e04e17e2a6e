package prompt

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestLinesConfirm(t *testing.T) {
	tests := []struct {
		input string
		yes   bool
		err   error
	}{
		{"yes\n", true, nil},
		{"yes", true, nil},
		{"YES\r\n", true, nil},
		{"yes\nno\n", true, nil},
		{"no\n", false, nil},
		{"N", false, nil},
		{"", false, ErrNoInput},
		{"\n", false, ErrUnclear},
		{"y\n", false, ErrUnclear},
		{"yes please\n", false, ErrUnclear},
		{" yes\n", false, ErrUnclear},
		{"true\n", false, ErrUnclear},
		{"\x04", false, ErrUnclear},
	}
	for _, tt := range tests {
		var echo strings.Builder
		yes, err := NewLines(strings.NewReader(tt.input), &echo).Confirm(context.Background(), "Go on? ")
		if yes != tt.yes || !errors.Is(err, tt.err) {
			t.Errorf("%q: %v, %v", tt.input, yes, err)
		}
		if echo.String() != "Go on? \n" {
			t.Errorf("%q: showed %q", tt.input, echo.String())
		}
	}
}

func TestLinesAnswerInTurn(t *testing.T) {
	l := NewLines(strings.NewReader("s3cret \nyes\nno\n"), io.Discard)
	ctx := context.Background()
	if secret, err := l.Password(ctx, "Password: "); secret != "s3cret " || err != nil {
		t.Errorf("%q, %v", secret, err)
	}
	for _, want := range []bool{true, false} {
		if yes, err := l.Confirm(ctx, ""); yes != want || err != nil {
			t.Errorf("%v, %v", yes, err)
		}
	}
	if _, err := l.Password(ctx, ""); !errors.Is(err, ErrNoInput) {
		t.Error(err)
	}
}

func TestLinesFollowTheContext(t *testing.T) {
	silent, w := io.Pipe()
	defer w.Close()
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	time.AfterFunc(10*time.Millisecond, func() { cancel(cause) })
	if yes, err := NewLines(silent, io.Discard).Confirm(ctx, "?"); yes || !errors.Is(err, cause) {
		t.Errorf("%v, %v", yes, err)
	}
}

func TestNobody(t *testing.T) {
	if yes, err := (Nobody{}).Confirm(context.Background(), "?"); yes || !errors.Is(err, ErrNoInput) {
		t.Errorf("%v, %v", yes, err)
	}
	if _, err := (Nobody{}).Password(context.Background(), "?"); !errors.Is(err, ErrNoInput) {
		t.Error(err)
	}
}

func TestWhoAsks(t *testing.T) {
	tests := []struct {
		stdio Stdio
		want  Prompter
	}{
		{Stdio{}, &Lines{}},
		{Stdio{ErrTTY: true}, &Lines{}},
		{Stdio{InTTY: true}, Nobody{}},
		{Stdio{InTTY: true, ErrTTY: true}, terminal{}},
	}
	for _, tt := range tests {
		if got := New(tt.stdio); kind(got) != kind(tt.want) {
			t.Errorf("%+v: %T, want %T", tt.stdio, got, tt.want)
		}
	}
}

func kind(p Prompter) string {
	switch p.(type) {
	case *Lines:
		return "lines"
	case Nobody:
		return "nobody"
	case terminal:
		return "terminal"
	}
	return "other"
}

func TestScript(t *testing.T) {
	s := &Script{Answers: []string{"yes", "no", "^C", "word"}}
	ctx := context.Background()
	if yes, err := s.Confirm(ctx, "a"); !yes || err != nil {
		t.Errorf("%v, %v", yes, err)
	}
	if yes, err := s.Confirm(ctx, "b"); yes || err != nil {
		t.Errorf("%v, %v", yes, err)
	}
	if _, err := s.Confirm(ctx, "c"); !errors.Is(err, ErrInterrupted) {
		t.Error(err)
	}
	if word, err := s.Password(ctx, "d"); word != "word" || err != nil {
		t.Errorf("%q, %v", word, err)
	}
	if _, err := s.Confirm(ctx, "e"); !errors.Is(err, ErrNoInput) {
		t.Error(err)
	}
	if strings.Join(s.Asked, "") != "abcde" {
		t.Error(s.Asked)
	}
}

func TestLinesDoNotCorrect(t *testing.T) {
	ctx := context.Background()
	wrong := errors.New("wrong")
	l := NewLines(strings.NewReader("7\n8\n"), io.Discard)
	check := func(s string) error {
		if s != "7" {
			return wrong
		}
		return nil
	}
	if got, err := l.Input(ctx, "", check); got != "7" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := l.Input(ctx, "", check); !errors.Is(err, wrong) {
		t.Error(err)
	}
	if _, err := l.Line(ctx, ""); !errors.Is(err, ErrNoInput) {
		t.Error(err)
	}
	for _, p := range []Prompter{l, Nobody{}} {
		if _, err := p.Select(ctx, "", nil); err == nil {
			t.Errorf("%T chooses", p)
		}
		if _, err := p.MultiSelect(ctx, "", nil); err == nil {
			t.Errorf("%T chooses", p)
		}
	}
}

func TestManners(t *testing.T) {
	for want, prompters := range map[Manner][]Prompter{
		Silent:   {Nobody{}},
		Linewise: {&Lines{}, &Script{}, New(Stdio{}), New(Stdio{InTTY: true, ErrTTY: true, DumbTerminal: true})},
		Visual:   {&Script{Screen: true}, New(Stdio{InTTY: true, ErrTTY: true})},
	} {
		for _, p := range prompters {
			if got := p.Manner(); got != want {
				t.Errorf("%T: %v, want %v", p, got, want)
			}
		}
	}
}
