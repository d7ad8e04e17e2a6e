package cli

import (
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/trib-dev/trib/internal/config"
	"github.com/trib-dev/trib/internal/prompt"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/driver"
)

// App is all that the commands have of the world outside. It serves one run.
type App struct {
	Terminal  *ui.Terminal
	Prompter  prompt.Prompter
	In        io.Reader // what call -x sends
	Env       config.Env
	Signals   <-chan os.Signal // to stop; may be nil
	NewDialer func(config.Connection) driver.Dialer
	Now       func() time.Time
	Holder    string // who and where, for the lock: "host:pid"
	Build     ui.Version

	global globalOptions
	known  known
	line   []string               // the command line, without secrets
	begun  atomic.Bool            // something may have been changed
	next   atomic.Pointer[string] // what continues it
}
