package cli

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/trib-dev/trib/internal/prompt"
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/lock"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

func TestExitCodes(t *testing.T) {
	refused := &driver.AuthError{Addr: cluster.Addr{Host: "h", Port: 1}, Err: errors.New("WRONGPASS")}
	conflict := &move.ConflictError{}
	tests := []struct {
		name string
		err  error
		want int
		hint string
	}{
		{"none", nil, exitOK, ""},
		{"anything else", errors.New("disk full"), exitRefused, ""},
		{"usage", usage("bad"), exitUsage, ""},
		{"unhealthy", &unhealthyError{"1 error"}, exitUnhealthy, ""},
		{"refusal", &plan.Refusal{Reasons: []string{"a"}, Hint: "do that"}, exitStale, "do that"},
		{"stale", &apply.StaleError{Reasons: []string{"a"}}, exitStale, "run the same command again: it plans from what the cluster is now"},
		{"held", &lock.HeldError{}, exitStale, "wait until the other operator is done; --break-lock takes over from one that hangs"},
		{"no lock", &lock.UnsupportedError{Err: errors.New("NOPERM")}, exitStale, "--no-lock does without the lock: see to it yourself that nobody else changes the cluster"},
		{"unfit", &hintError{&unfitError{[]string{"a"}}, "look"}, exitStale, "look"},
		{"partial", &apply.PartialError{Cause: errors.New("x")}, exitPartial, hintPartial},
		{"partial by interrupt", &apply.PartialError{Cause: errInterrupted}, exitPartial, hintPartial},
		{"partial by lost node", &apply.PartialError{Cause: &observe.SeedError{}}, exitPartial, hintPartial},
		{"partial by stale plan", &apply.PartialError{Cause: &apply.StaleError{}}, exitPartial, hintPartial},
		{"conflict", conflict, exitConflict, ""},
		{"partial by conflict", &apply.PartialError{Cause: fmt.Errorf("slot 1: %w", conflict)}, exitConflict, hintPartial},
		{"seed", &observe.SeedError{Causes: []error{errors.New("x")}}, exitNoSeed, "see whether the server runs there, and whether this host may connect to it"},
		{"seed refused", &observe.SeedError{Causes: []error{refused}}, exitNoSeed, "give the password in TRIB_PASSWORD, or let --askpass ask for it; --user names an ACL user"},
		{"refused", refused, exitNoSeed, "give the password in TRIB_PASSWORD, or let --askpass ask for it; --user names an ACL user"},
		{"unreachable", &unreachableError{reasons: []string{"a"}}, exitNoSeed, "see whether the server runs there, and whether this host may connect to it"},
		{"unreachable without the password", &unreachableError{[]string{"a"}, refused}, exitNoSeed, "give the password in TRIB_PASSWORD, or let --askpass ask for it; --user names an ACL user"},
		{"interrupted", fmt.Errorf("x: %w", errInterrupted), exitInterrupted, ""},
		{"ctrl-c at a prompt", prompt.ErrInterrupted, exitInterrupted, ""},
		{"cancelled", context.Canceled, exitInterrupted, ""},
		{"wrapped", errors.Join(&hintError{usage("bad"), "so"}, nil), exitUsage, "so"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := exitCode(tt.err); got != tt.want {
				t.Errorf("exit %d, want %d", got, tt.want)
			}
			if tt.err == nil {
				return
			}
			if f := failureOf(tt.err); f.Exit != tt.want || f.Hint != tt.hint {
				t.Errorf("got %+v, want hint %q", f, tt.hint)
			}
		})
	}
}

func TestEveryExitCodeHasAMeaning(t *testing.T) {
	seen := make(map[string]bool)
	for _, code := range []int{
		exitOK, exitRefused, exitUsage, exitUnhealthy, exitStale, exitPartial, exitConflict, exitNoSeed, exitInterrupted,
	} {
		text := meaning(code)
		if text == "" || seen[text] {
			t.Errorf("code %d: %q", code, text)
		}
		seen[text] = true
	}
	if got := meaning(42); got != "" {
		t.Error(got)
	}
}
