package ui

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Traits say what the two output streams are.
type Traits struct {
	Out, Err Style
	ErrTTY   bool       // standard error is a terminal
	Width    func() int // of that terminal, in columns; may be nil
	Height   func() int // and in lines; may be nil
}

// Format is the form of a command's result.
type Format string

// The formats.
const (
	Table Format = "table"
	JSON  Format = "json"
	YAML  Format = "yaml"
)

// Formats are all formats, the default one first.
func Formats() []string { return []string{string(Table), string(JSON), string(YAML)} }

// Terminal owns standard output and standard error, so that the status line,
// messages and results do not write into each other.
type Terminal struct {
	Format Format

	out, err io.Writer
	traits   Traits

	mu     sync.Mutex
	status []string // lines on the screen now
	lost   error    // the first result that could not be written
}

// NewTerminal makes the owner of two streams, which nobody else may write to
// from then on. Its format is Table.
func NewTerminal(out, err io.Writer, t Traits) *Terminal {
	return &Terminal{Format: Table, out: out, err: err, traits: t}
}

// Traits are what the streams can show.
func (t *Terminal) Traits() Traits { return t.traits }

// Out is standard output for the help, which is written before there is a format.
func (t *Terminal) Out() io.Writer { return t.out }

// View is a command's result: its exported fields are the JSON form.
type View interface {
	// Text writes the form for people.
	Text(p *Page)
}

// Show writes a result in the chosen format.
func (t *Terminal) Show(v View) error {
	t.Text(v.Text)
	return t.Result(v)
}

// Text writes a part of a result, in the format for people only.
func (t *Terminal) Text(write func(*Page)) {
	if t.Format == Table {
		t.print(t.out, t.traits.Out, write)
	}
}

// Result writes a whole result, in the formats for programs only.
func (t *Terminal) Result(v any) error {
	if t.Format == Table {
		return nil
	}
	text, err := t.Format.encode(v)
	if err != nil {
		return err
	}
	t.write(t.out, text)
	return nil
}

// Say writes to standard error whatever the format is.
func (t *Terminal) Say(write func(*Page)) { t.print(t.err, t.traits.Err, write) }

func (t *Terminal) print(w io.Writer, style Style, write func(*Page)) {
	p := &Page{style: style}
	write(p)
	t.write(w, p.text.String())
}

// Status replaces the status lines; none, or an empty one, takes them away.
// There are never more than half a screen of them. Nothing happens where
// standard error is not a terminal.
func (t *Terminal) Status(lines ...string) {
	if !t.traits.ErrTTY {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	lines = slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return line == "" })
	lines = lines[:min(len(lines), t.StatusLines())]
	for i, line := range lines {
		lines[i] = t.fit(Safe(line))
	}
	if !slices.Equal(lines, t.status) {
		t.erase()
		t.draw(lines)
	}
}

// StatusLines is how many lines Status may have.
func (t *Terminal) StatusLines() int {
	height := 24
	if t.traits.Height != nil {
		height = t.traits.Height()
	}
	return max(height/2, 1)
}

func (t *Terminal) write(w io.Writer, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := t.status
	t.erase()
	if _, err := io.WriteString(w, text); err != nil && w == t.out && t.lost == nil {
		t.lost = err
	}
	t.draw(lines)
}

// Lost is why a result could not be written; nil where all of them were, or
// where the reader has gone away and wants no more.
func (t *Terminal) Lost() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if errors.Is(t.lost, syscall.EPIPE) {
		return nil
	}
	return t.lost
}

func (t *Terminal) draw(lines []string) {
	io.WriteString(t.err, strings.Join(lines, "\n"))
	t.status = lines
}

// erase goes up from the end of the last line.
func (t *Terminal) erase() {
	if len(t.status) > 0 {
		io.WriteString(t.err, "\r\x1b[K"+strings.Repeat("\x1b[A\x1b[K", len(t.status)-1))
		t.status = nil
	}
}

// fit cuts a line to the terminal's width: a status line that wraps cannot be
// erased any more. Status lines are of single-width characters.
func (t *Terminal) fit(line string) string {
	width := 80
	if t.traits.Width != nil {
		width = t.traits.Width()
	}
	runes := []rune(line)
	if width < 2 || len(runes) < width {
		return line
	}
	return string(runes[:width-1])
}

func (f Format) encode(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	if f == YAML {
		return toYAML(b.String())
	}
	return b.String(), nil
}
