package cli

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// FuzzCommandLine promises of every command line that it is understood, or
// refused as usage (exit 2), before anything is connected to.
func FuzzCommandLine(f *testing.F) {
	for _, line := range []string{
		"reshard h:1 --from all --to b --slots 10 --yes",
		"--cluster reshard h:1 --cluster-from a,b --cluster-to c --cluster-slots 1 --cluster-pipeline 0",
		"rebalance --weight a=1 [::1]:7000=2.5 --threshold 0 h 7000",
		"rebalance h:1 --cluster-weight a=-5 b=abc --cluster-threshold 1e3",
		"create --replicas 1 h:1 h:2 h:3 --zone h=z --slots [0::1]:1=0-9,20",
		"call h:1 --only-masters config get x -- -y",
		"fix h:1 --only open-slots --slots 5,100-200 --foreign-keys adopt",
		"import h:1 --from redis://u:p@h:2 --match a*", "set-timeout h:1 5s", "drain h:1 a --to b,c",
		"-a pass --tls check h:1 -o json", "check -phunter2", "info 10.0.0.1 7000 extra", "create -h", "--", "",
	} {
		f.Add(strings.Join(strings.Fields(line), "\n"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got any
		b := newBench(t)
		app := b.app()
		root := newRoot(app)
		root.RemoveCommand(root.Commands()...)
		root.AddCommand(parsers(app, &got)...)
		args, err := arrange(root, strings.Split(text, "\n"))
		if err == nil {
			root.SetArgs(args)
			err = root.ExecuteContext(t.Context())
		}
		if err != nil && !errors.Is(err, errSeen) && exitCode(err) != exitUsage {
			t.Errorf("%q: exit %d: %v", text, exitCode(err), err)
		}
		if b.connections != nil {
			t.Errorf("%q connects", text)
		}
	})
}

// FuzzFlagValues promises of numbers, times, amounts, weights and slots that
// what is taken is within bounds, and is written so that it is read again.
func FuzzFlagValues(f *testing.F) {
	for _, s := range []string{"0", "16384", "-1", "0x10", "1_000", "+5", "90s", "1.5", "5", "64K", "8589934592G", "a=1", "[::1]:7000=2.5", "a=1000001", "=", "5,100-200", "h=z", "٣", "9999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, fresh := range []func() pflag.Value{
			func() pflag.Value { return number{new(int), 1, 16384} },
			func() pflag.Value { return span{new(time.Duration), 0} },
			func() pflag.Value { return span{new(time.Duration), time.Second} },
			func() pflag.Value { return span{new(time.Duration), time.Millisecond} },
			func() pflag.Value { return size{new(int64)} },
			func() pflag.Value { return slotSet{new(cluster.SlotSet)} },
			func() pflag.Value { return names{new([]string)} },
		} {
			v := fresh()
			if v.Set(s) != nil {
				continue
			}
			again := fresh()
			if err := again.Set(v.String()); err != nil || again.String() != v.String() {
				t.Errorf("%T: %q became %q and then %q, %v", v, s, v, again, err)
			}
		}
		var w []weight
		if (weights{&w}).Set(s) == nil && slices.ContainsFunc(w, func(w weight) bool { return w.node == "" || w.value < 0 || w.value > plan.MaxWeight }) {
			t.Errorf("weight %q became %+v", s, w)
		}
	})
}
