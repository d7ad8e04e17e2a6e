package prompt

import (
	"context"
	"fmt"
	"strings"
)

// Script answers from a list, for tests, and keeps what it was asked.
type Script struct {
	Screen  bool // it is asked to choose, rather than by lines
	Answers []string
	Asked   []string
}

// Confirm is a yes where the next answer is "yes"; "^C" interrupts, and after
// the last answer the input ends.
func (s *Script) Confirm(ctx context.Context, question string) (bool, error) {
	answer, err := s.next(question)
	return answer == "yes", err
}

// Password is the next answer.
func (s *Script) Password(ctx context.Context, question string) (string, error) {
	return s.next(question)
}

// Manner is visual with a screen.
func (s *Script) Manner() Manner {
	if s.Screen {
		return Visual
	}
	return Linewise
}

// Line is the next answer.
func (s *Script) Line(_ context.Context, question string) (string, error) { return s.next(question) }

// Input is the next answer; on a screen the first one that check accepts.
func (s *Script) Input(_ context.Context, question string, check func(string) error) (string, error) {
	for {
		answer, err := s.next(question)
		if err != nil {
			return "", err
		}
		if err := check(answer); err == nil || !s.Screen {
			return answer, err
		}
	}
}

// Select chooses the option that contains the next answer.
func (s *Script) Select(_ context.Context, question string, options []string) (int, error) {
	answer, err := s.next(question)
	if err != nil {
		return 0, err
	}
	for i, option := range options {
		if strings.Contains(option, answer) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("no option contains %q: %q", answer, options)
}

// MultiSelect chooses the options that contain the parts of the next answer,
// which are separated by commas.
func (s *Script) MultiSelect(_ context.Context, question string, options []string) ([]int, error) {
	answer, err := s.next(question)
	if err != nil {
		return nil, err
	}
	var chosen []int
	for part := range strings.SplitSeq(answer, ",") {
		for i, option := range options {
			if strings.Contains(option, part) {
				chosen = append(chosen, i)
			}
		}
	}
	return chosen, nil
}

func (s *Script) next(question string) (string, error) {
	s.Asked = append(s.Asked, question)
	if len(s.Asked) > len(s.Answers) {
		return "", ErrNoInput
	}
	answer := s.Answers[len(s.Asked)-1]
	if answer == "^C" {
		return "", ErrInterrupted
	}
	return answer, nil
}
