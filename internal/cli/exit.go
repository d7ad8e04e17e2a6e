package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/trib-dev/trib/internal/prompt"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/ingest"
	"github.com/trib-dev/trib/pkg/lock"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

// The exit codes. Scripts rely on them: a code never changes its meaning.
const (
	exitOK          = 0
	exitRefused     = 1
	exitUsage       = 2
	exitUnhealthy   = 3
	exitStale       = 4
	exitPartial     = 5
	exitConflict    = 6
	exitNoSeed      = 7
	exitInterrupted = 130
)

func meaning(code int) string {
	switch code {
	case exitOK:
		return "done and verified, or already so"
	case exitRefused:
		return "declined or failed; nothing was changed"
	case exitUsage:
		return "wrong usage; found before any connection was made"
	case exitUnhealthy:
		return "the cluster has problems of severity error"
	case exitStale:
		return "not fit for this, the plan is stale, or another operator holds the lock"
	case exitPartial:
		return "stopped part-way, resumable as hinted; or some nodes of a call failed"
	case exitConflict:
		return "a key has two values, or its owner lacks it; somebody has to decide"
	case exitNoSeed:
		return "no named node could be reached, or it refused the credentials"
	case exitInterrupted:
		return "interrupted before anything was changed"
	}
	return ""
}

// exitCodes is the section of a command's help.
func exitCodes(codes ...int) string {
	var b strings.Builder
	b.WriteString(exitHeading)
	for _, code := range append([]int{exitOK}, codes...) {
		fmt.Fprintf(&b, "  %3d  %s\n", code, meaning(code))
	}
	return strings.TrimRight(b.String(), "\n")
}

// usageError is a command line that cannot be meant.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usage(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// errInterrupted is the cause of the context that a signal ends.
var errInterrupted = errors.New("interrupted")

// unfitError is a cluster that must not be changed as it is.
type unfitError struct{ reasons []string }

func (e *unfitError) Error() string { return strings.Join(e.reasons, "; ") }

// unreachableError is a node that was named on the command line and does not
// answer.
type unreachableError struct {
	reasons []string
	refused error // the credentials, by a node that does run, or the certificate
}

func (e *unreachableError) Error() string { return strings.Join(e.reasons, "; ") }
func (e *unreachableError) Unwrap() error { return e.refused }

// unhealthyError is a cluster with findings that were shown already.
type unhealthyError struct{ findings string }

func (e *unhealthyError) Error() string { return "the cluster has problems: " + e.findings }

// hintError adds what to run next, where the one who returns the error knows
// better than hintFor.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// exitCode decides, for all commands, what an error means. The order counts:
// a partial run may have been caused by anything, and only a conflict says more
// than that.
func exitCode(err error) int {
	switch {
	case err == nil:
		return exitOK
	case is[*usageError](err):
		return exitUsage
	case is[*move.ConflictError](err):
		return exitConflict
	case is[*apply.PartialError](err):
		return exitPartial
	case is[*undecidedError](err):
		e, _ := errors.AsType[*undecidedError](err)
		return e.code()
	case is[*callError](err):
		return callCode(err)
	case is[*ingest.StoppedError](err), is[*ingest.LeftError](err):
		return importCode(err)
	case is[*librariesError](err):
		return exitPartial
	case errors.Is(err, errInterrupted), errors.Is(err, prompt.ErrInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case is[*unhealthyError](err):
		return exitUnhealthy
	case is[*plan.Refusal](err), is[*apply.StaleError](err), is[*apply.PreflightError](err), is[*unfitError](err),
		is[*lock.HeldError](err), is[*lock.UnsupportedError](err):
		return exitStale
	case is[*observe.SeedError](err), is[*driver.AuthError](err), is[*unreachableError](err):
		return exitNoSeed
	}
	return exitRefused
}

// callCode is 1 only where it is known that no node has done anything.
func callCode(err error) int {
	e, ok := errors.AsType[*callError](err)
	if !ok {
		return exitOK
	}
	if len(e.failed) == e.of && !e.unknown {
		return exitRefused
	}
	return exitPartial
}

// importCode is that of a conflict only where nothing else is wrong.
func importCode(err error) int {
	e, ok := errors.AsType[*ingest.LeftError](err)
	if ok && e.Totals.Failed == 0 && !is[*ingest.StoppedError](err) {
		return exitConflict
	}
	return exitPartial
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

const hintPartial = "trib check shows where the cluster stands; trib resume finishes what was begun"

const hintBigKeys = "the same command with --big-keys move moves these slots too, and blocks both nodes for so long; or make the keys smaller first"

// overrideHint names the flag for every obstacle.
func overrideHint(e *apply.PreflightError) string {
	var codes []string
	for _, o := range e.Obstacles {
		if !slices.Contains(codes, string(o.Code)) {
			codes = append(codes, string(o.Code))
		}
	}
	hint := "--override " + strings.Join(codes, ",") + " goes ahead all the same"
	if slices.Contains(codes, string(plan.ObstaclePermissions)) {
		hint += "; trib acl prints what a command takes"
	}
	return hint
}

// hintFor is what to run next where nobody said it.
func hintFor(err error) string {
	if e, ok := errors.AsType[*hintError](err); ok {
		return busHint(err) + e.hint
	}
	if is[*move.BigKeysError](err) {
		return hintBigKeys
	}
	if e, ok := errors.AsType[*undecidedError](err); ok {
		return e.hint()
	}
	if is[*apply.PartialError](err) {
		return hintPartial
	}
	if e, ok := errors.AsType[*plan.Refusal](err); ok {
		return e.Hint
	}
	if e, ok := errors.AsType[*apply.PreflightError](err); ok {
		return overrideHint(e)
	}
	if e, ok := errors.AsType[*ingest.LeftError](err); ok {
		return importHint(e)
	}
	switch {
	case is[*lock.HeldError](err):
		return "wait until the other operator is done; --break-lock takes over from one that hangs"
	case is[*lock.UnsupportedError](err) && driver.HasCode(err, "NOPERM"):
		return "the user needs +client|setname and +client|list, as trib acl prints; --no-lock does without the lock: see to it yourself that nobody else changes the cluster"
	case is[*lock.UnsupportedError](err):
		return "--no-lock does without the lock: see to it yourself that nobody else changes the cluster"
	case is[*apply.StaleError](err):
		return "run the same command again: it plans from what the cluster is now"
	case is[*tls.CertificateVerificationError](err):
		return "--cacert names the authority of the nodes' certificates; --sni NAME is for nodes that are dialled by another name than they prove"
	case is[*driver.AuthError](err):
		return "give the password in TRIB_PASSWORD, or let --askpass ask for it; --user names an ACL user"
	case driver.HasCode(err, "NOPERM"):
		return "trib acl prints what a command takes, as a rule for the user"
	case driver.Mentions(err, "unknown command"):
		return "the server has this command renamed or disabled, as services do that run servers for others: change such a cluster by their own means"
	case is[*observe.SeedError](err), is[*unreachableError](err):
		return "see whether the server runs there, and whether this host may connect to it"
	}
	return ""
}

func importHint(e *ingest.LeftError) string {
	if e.Totals.Existing > 0 {
		return "the same command with --replace overwrites the cluster's values; delete the wrong value on either side to decide for single keys"
	}
	return "the same command again tries those once more that failed"
}

// busHint comes before any other: nothing helps until the nodes reach each other.
func busHint(err error) string {
	if e, ok := errors.AsType[*apply.WaitError](err); ok && e.Bus {
		return "let every node reach every other one's bus port (its port + 10000 unless cluster-port or an announced port says otherwise), " +
			"which firewalls often forget; --address-map is for nodes that have other addresses among themselves than those given here; then "
	}
	return ""
}

// reasonsOf are the single reasons of an error that has several, and what they
// are reasons of.
func reasonsOf(err error) (head string, reasons []string) {
	if e, ok := errors.AsType[*move.ConflictError](err); ok {
		return "keys that need a decision: they differ on two nodes, or the owner of their slot lacks them", conflictReasons(e.Conflicts)
	}
	if e, ok := errors.AsType[*plan.Refusal](err); ok {
		return "this cannot be done", e.Reasons
	}
	if e, ok := errors.AsType[*apply.StaleError](err); ok {
		return "the plan does not fit the cluster any more", e.Reasons
	}
	if e, ok := errors.AsType[*apply.PreflightError](err); ok {
		for _, o := range e.Obstacles {
			reasons = append(reasons, o.Text)
		}
		return "the cluster is not fit for this plan", reasons
	}
	if e, ok := errors.AsType[*unfitError](err); ok {
		return "the cluster is not fit for this", e.reasons
	}
	if e, ok := errors.AsType[*undecidedError](err); ok {
		return "not repaired", e.texts()
	}
	if e, ok := errors.AsType[*unreachableError](err); ok {
		return "nodes that were named do not answer", e.reasons
	}
	return "", nil
}

func failureOf(err error) ui.Failure {
	// Errors that were joined stand in lines of their own.
	f := ui.Failure{Message: strings.ReplaceAll(err.Error(), "\n", "; "), Hint: hintFor(err), Exit: exitCode(err)}
	conflict, differ := errors.AsType[*move.ConflictError](err)
	if head, reasons := reasonsOf(err); len(reasons) > 1 || differ {
		f.Head, f.Reasons = head, reasons
	}
	if differ {
		f.Conflicts = conflictsIn(conflict)
	}
	if e, ok := errors.AsType[*undecidedError](err); ok {
		f.Undecided = e.left
	}
	return f
}
