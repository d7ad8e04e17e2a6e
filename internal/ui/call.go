package ui

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Call is what the nodes of a cluster answered to one command.
type Call struct {
	Schema  int      `json:"schema"`
	Command string   `json:"command"`
	Seed    string   `json:"seed"`
	Call    []string `json:"call"` // without secrets
	Failed  int      `json:"failed"`
	Nodes   []Called `json:"nodes"`
}

// Called is what one node answered: a reply, or an error.
type Called struct {
	Addr  cluster.Addr   `json:"addr"`
	ID    cluster.NodeID `json:"id"`
	Role  string         `json:"role"`
	OK    bool           `json:"ok"`
	Reply any            `json:"reply"` // string, number, null, list; {"base64"} of what is no text, {"error"} inside of lists
	Error string         `json:"error,omitempty"`

	value  any  // the reply as it came
	silent bool // the error is not the node's own
}

// ReplyError is an error inside of a list.
type ReplyError string

// Replied is what a node answered: a string, an int64, nil, a ReplyError, or a
// []any of these.
func (c Called) Replied(value any) Called {
	c.OK, c.Reply, c.value = true, plain(value), value
	return c
}

// Refused is a node that answered with an error.
func (c Called) Refused(why string) Called {
	c.Error = why
	return c
}

// Silent is a node that gave no answer.
func (c Called) Silent(why string) Called {
	c.Error, c.silent = why, true
	return c
}

// plain is a reply as JSON has it.
func plain(value any) any {
	switch v := value.(type) {
	case string:
		if !utf8.ValidString(v) {
			return map[string]string{"base64": base64.StdEncoding.EncodeToString([]byte(v))}
		}
	case ReplyError:
		return map[string]string{"error": string(v)}
	case []any:
		items := make([]any, len(v))
		for i, item := range v {
			items[i] = plain(item)
		}
		return items
	}
	return value
}

// Text writes redis-cli's lines. A reply of several lines is indented, so that
// none of them passes for another node's.
func (v Call) Text(p *Page) {
	words := make([]string, len(v.Call))
	for i, w := range v.Call {
		words[i] = word(w)
	}
	p.Line(">>> Calling %s", strings.Join(words, " "))
	for _, n := range v.Nodes {
		n.text(p)
	}
}

// word quotes what a reader could not tell from two words, or from none.
func word(w string) string {
	if w == "" || strings.ContainsAny(w, " \"'") || Safe(w) != w {
		return strconv.Quote(w)
	}
	return w
}

func (c Called) text(p *Page) {
	switch {
	case c.silent:
		p.raw(Safe(c.Addr.String()+": ") + p.style.bad("Failed!") + Safe(" "+c.Error))
		return
	case !c.OK:
		p.raw(Safe(c.Addr.String()+": ") + p.style.bad(Safe("(error) "+c.Error)))
		return
	}
	lines := replyLines(c.value)
	if len(lines) == 1 {
		p.Line("%s: %s", c.Addr, lines[0])
		return
	}
	p.Line("%s:", c.Addr)
	for _, line := range lines {
		p.Line("  %s", line)
	}
}

// replyLines shows a reply; text and numbers that are not in a list are shown
// as they are.
func replyLines(value any) []string {
	if n, ok := value.(int64); ok {
		return []string{strconv.FormatInt(n, 10)}
	}
	text, ok := value.(string)
	if !ok || text == "" {
		return itemLines(value)
	}
	lines := strings.Split(strings.TrimRight(text, "\r\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	return lines
}

// itemLines shows a reply as redis-cli does on a terminal.
func itemLines(value any) []string {
	switch v := value.(type) {
	case nil:
		return []string{"(nil)"}
	case int64:
		return []string{fmt.Sprintf("(integer) %d", v)}
	case string:
		return []string{strconv.Quote(v)}
	case ReplyError:
		return []string{"(error) " + string(v)}
	case []any:
		return listLines(v)
	}
	return []string{fmt.Sprint(value)}
}

func listLines(items []any) []string {
	if len(items) == 0 {
		return []string{"(empty array)"}
	}
	width := len(strconv.Itoa(len(items)))
	var lines []string
	for i, item := range items {
		mark := fmt.Sprintf("%*d) ", width, i+1)
		for _, line := range itemLines(item) {
			lines = append(lines, mark+line)
			mark = strings.Repeat(" ", len(mark))
		}
	}
	return lines
}
