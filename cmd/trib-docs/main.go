// Command trib-docs writes trib's man pages, its reference in Markdown and its
// completion scripts into a directory. The same commands give the same bytes.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra/doc"

	"github.com/trib-dev/trib/internal/cli"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: trib-docs DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "trib-docs:", err)
		os.Exit(1)
	}
}

// write is everything: DIR/man/trib*.1, DIR/markdown/trib*.md and
// DIR/completions.
func write(dir string) error {
	commands := cli.Commands()
	for _, sub := range []string{"man", "markdown", "completions"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	scripts := func(name string) string { return filepath.Join(dir, "completions", name) }
	root := commands[0]
	err := errors.Join(
		root.GenBashCompletionFileV2(scripts("trib.bash"), true),
		root.GenZshCompletionFile(scripts("_trib")),
		root.GenFishCompletionFile(scripts("trib.fish"), true),
		root.GenPowerShellCompletionFileWithDesc(scripts("trib.ps1")),
	)
	for _, c := range commands {
		c.DisableAutoGenTag = true
		c.Long = blocks(c.Long)
		var man, markdown bytes.Buffer
		// Without a date cobra takes today's.
		header := doc.GenManHeader{Section: "1", Source: "trib", Manual: "trib manual", Date: &time.Time{}}
		err = errors.Join(err, doc.GenMan(c, &header, &man), doc.GenMarkdown(c, &markdown))
		page := strings.Replace(man.String(), `"`+header.Date.Format("Jan 2006")+`"`, `""`, 1)
		name := strings.Fields(c.CommandPath())
		err = errors.Join(err,
			os.WriteFile(filepath.Join(dir, "man", strings.Join(name, "-")+".1"), []byte(page), 0o644),
			os.WriteFile(filepath.Join(dir, "markdown", strings.Join(name, "_")+".md"), markdown.Bytes(), 0o644))
	}
	return err
}

// blocks keeps what is indented in a help as it is, where Markdown would make
// one paragraph of it.
func blocks(help string) string {
	var b strings.Builder
	inside := false
	for line := range strings.Lines(help) {
		indented := strings.HasPrefix(line, "  ")
		if indented && !inside {
			b.WriteString("\n")
		}
		if inside = indented; indented {
			line = "    " + line
		}
		b.WriteString(line)
	}
	return b.String()
}
