package lab_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// Only the Linux kernel ends a child with its parent.
func TestAttachedServersEndWithTheirProgram(t *testing.T) {
	l := killedChild(t, "")
	labtest.Await(t, 5*time.Second, "the servers end", func() error {
		for _, s := range l.Status(t.Context()) {
			if s.Condition != lab.Down {
				return fmt.Errorf("%s is %s", s.Addr, s.Condition)
			}
		}
		return nil
	})
}
