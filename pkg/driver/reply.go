package driver

import "fmt"

// Reply is the answer to one command: Value, or Err where the server refused.
//
// Value is a string (simple and bulk strings alike), an int64, nil, or a []any
// of these, in which an error is a *ServerError.
type Reply struct {
	Value any
	Err   error
}

// Text is the reply as a string.
func (r Reply) Text() (string, error) {
	if r.Err != nil {
		return "", r.Err
	}
	s, ok := r.Value.(string)
	if !ok {
		return "", unexpected("a string", r.Value)
	}
	return s, nil
}

// Int is the reply as a whole number.
func (r Reply) Int() (int64, error) {
	if r.Err != nil {
		return 0, r.Err
	}
	n, ok := r.Value.(int64)
	if !ok {
		return 0, unexpected("a number", r.Value)
	}
	return n, nil
}

// Strings is the reply as a list of strings.
func (r Reply) Strings() ([]string, error) {
	if r.Err != nil {
		return nil, r.Err
	}
	items, ok := r.Value.([]any)
	if !ok {
		return nil, unexpected("a list", r.Value)
	}
	out := make([]string, len(items))
	for i, item := range items {
		s, ok := item.(string)
		if !ok {
			return nil, unexpected("a list of strings", item)
		}
		out[i] = s
	}
	return out, nil
}

// OK is nil where the reply is the status OK.
func (r Reply) OK() error {
	s, err := r.Text()
	if err == nil && s != "OK" {
		err = fmt.Errorf("unexpected reply %.80q, want OK", s)
	}
	return err
}

func unexpected(want string, got any) error {
	return fmt.Errorf("unexpected reply of type %T, want %s", got, want)
}

// FirstErr is the error of the first reply that is one. replies of a command
// that must all have succeeded are checked with it.
func FirstErr(replies []Reply) error {
	for _, r := range replies {
		if r.Err != nil {
			return r.Err
		}
	}
	return nil
}
