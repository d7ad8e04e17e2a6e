package observe

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/trib-dev/trib/pkg/driver"
)

// librariesOf is a digest of the function libraries that a server has loaded,
// the same on every server that has the same code; empty where the server has
// no functions or does not show them. FUNCTION DUMP would not do: it holds the
// server's version and lists the libraries in an order of its own.
func librariesOf(r driver.Reply) string {
	libraries, ok := r.Value.([]any)
	if r.Err != nil || !ok {
		return ""
	}
	texts := make([]string, len(libraries))
	for i, library := range libraries {
		texts[i] = libraryText(library)
	}
	slices.Sort(texts)
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00\x00")))
	return hex.EncodeToString(sum[:8])
}

// libraryText is what makes one library different from another: the reply is a
// list of names and values.
func libraryText(library any) string {
	fields, _ := library.([]any)
	var name, engine, code string
	for i := 0; i+1 < len(fields); i += 2 {
		value, _ := fields[i+1].(string)
		switch fields[i] {
		case "library_name":
			name = value
		case "engine":
			engine = value
		case "library_code":
			code = value
		}
	}
	return strings.Join([]string{name, engine, code}, "\x00")
}
