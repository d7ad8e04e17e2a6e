package ui

import (
	"strings"

	"github.com/trib-dev/trib/pkg/health"
)

// Explanation is the result of asking what codes mean.
type Explanation struct {
	Schema  int            `json:"schema"`
	Command string         `json:"command"`
	Stories []health.Story `json:"stories"`
}

// NewExplanation makes the view of stories.
func NewExplanation(stories ...health.Story) Explanation {
	return Explanation{Schema: Schema, Command: "explain", Stories: stories}
}

// Text tells one story, or lists several.
func (e Explanation) Text(p *Page) {
	if len(e.Stories) == 1 {
		p.story(e.Stories[0])
		return
	}
	rows := make([][]string, len(e.Stories))
	for i, s := range e.Stories {
		rows[i] = []string{string(s.Code), severities(s), s.Title}
	}
	p.table([]string{"code", "severity", "what it says"}, rows)
	p.Blank()
	p.Line("trib explain CODE tells what a code means, how it comes about, what may happen and what to do.")
}

func severities(s health.Story) string {
	names := make([]string, len(s.Severities))
	for i, severity := range s.Severities {
		names[i] = string(severity)
	}
	return strings.Join(names, " or ")
}

func (p *Page) story(s health.Story) {
	p.Line(">>> %s (%s)", s.Code, severities(s))
	p.Line("%s.", s.Title)
	for _, part := range []struct{ head, text string }{
		{"What it means", s.Meaning},
		{"How it comes about", s.Origin},
		{"What may happen", s.Risk},
		{"What to do", s.Remedy},
	} {
		p.Blank()
		p.raw(p.style.bold(part.head))
		for _, line := range wrapped(part.text, 76) {
			p.Line("  %s", line)
		}
	}
	p.Blank()
	p.raw(p.style.bold("Commands"))
	for _, c := range s.Commands {
		p.Line("  %s", c)
	}
}

// wrapped breaks a text between words into lines of at most so many letters.
func wrapped(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}
