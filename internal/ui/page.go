package ui

import (
	"fmt"
	"strings"
)

// Page is text in the making. Everything that comes onto it is made safe for a
// terminal first and coloured afterwards.
type Page struct {
	style Style
	text  strings.Builder
}

// Line adds a line.
func (p *Page) Line(format string, args ...any) {
	p.raw(p.style.line(Safe(fmt.Sprintf(format, args...))))
}

// Blank adds an empty line.
func (p *Page) Blank() { p.raw("") }

// raw adds a line that is safe and coloured already.
func (p *Page) raw(line string) {
	p.text.WriteString(strings.TrimRight(line, " "))
	p.text.WriteByte('\n')
}
