package ui

import (
	"strings"

	"github.com/fatih/color"
)

// Style says what a stream can show.
type Style struct {
	Color   bool
	Unicode bool // block characters; else '#', '+' and '.'
	Narrow  bool // less than about 110 columns
}

func (s Style) paint(text string, attributes ...color.Attribute) string {
	if !s.Color || text == "" {
		return text
	}
	c := color.New(attributes...)
	c.EnableColor()
	return c.Sprint(text)
}

func (s Style) good(text string) string { return s.paint(text, color.FgGreen) }
func (s Style) bad(text string) string  { return s.paint(text, color.FgRed, color.Bold) }
func (s Style) warn(text string) string { return s.paint(text, color.FgYellow) }
func (s Style) bold(text string) string { return s.paint(text, color.Bold) }
func (s Style) dim(text string) string  { return s.paint(text, color.Faint) }

// line colours a line by the mark it begins with, the marks of redis-trib.
func (s Style) line(text string) string {
	if !s.Color {
		return text
	}
	body := strings.TrimLeft(text, " ")
	indent := text[:len(text)-len(body)]
	mark, rest, _ := strings.Cut(body, " ")
	switch mark {
	case ">>>":
		return s.bold(text)
	case "[OK]":
		return s.good(text)
	case "[ERR]":
		return indent + s.bad(mark) + " " + rest
	case "[WARNING]", "***":
		return indent + s.warn(mark) + " " + rest
	case "M:":
		return indent + s.bold(mark) + " " + rest
	case "->":
		return s.dim(indent+mark) + " " + rest
	}
	return text
}
