package prompt

import "context"

// Script answers from a list, for tests, and keeps what it was asked.
type Script struct {
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
