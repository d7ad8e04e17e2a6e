package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func written(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[filepath.ToSlash(strings.TrimPrefix(path, dir+string(filepath.Separator)))] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestSameBytes promises that nothing of the day or the machine gets in.
func TestSameBytes(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "86400")
	first := written(t)
	t.Setenv("SOURCE_DATE_EPOCH", "1234567890")
	t.Setenv("HOME", "/nonexistent")
	if diff := cmp.Diff(first, written(t)); diff != "" {
		t.Error(diff)
	}
	date := regexp.MustCompile(`(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[- ]\d{4}`)
	for name, text := range first {
		if found := date.FindString(text); found != "" {
			t.Errorf("%s has a date: %s", name, found)
		}
	}
}

func TestEveryCommandIsDocumented(t *testing.T) {
	files := written(t)
	for _, name := range []string{
		"man/trib.1", "man/trib-call.1", "man/trib-lab-up.1", "markdown/trib.md", "markdown/trib_reshard.md",
		"completions/trib.bash", "completions/_trib", "completions/trib.fish", "completions/trib.ps1",
	} {
		if files[name] == "" {
			t.Errorf("%s is missing", name)
		}
	}
	for name, text := range files {
		switch {
		case strings.HasPrefix(name, "man/") && !strings.HasPrefix(text, ".nh\n.TH \"TRIB"),
			strings.HasPrefix(name, "markdown/") && !strings.Contains(text, "\n        0  done and verified"):
			t.Errorf("%s:\n%.600s", name, text)
		}
	}
}
