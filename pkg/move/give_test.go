package move

import (
	"errors"
	"strings"
	"testing"

	"github.com/trib-dev/trib/pkg/driver"
)

// TestClaimGiven: the target claims what the source has given up, if no key was
// left behind and nobody has taken it since.
func TestClaimGiven(t *testing.T) {
	given := nodesText("a myself,master 3 0-6", "b master 4 7 10-20")
	for name, test := range map[string]struct {
		view    string // the source's
		keys    driver.Reply
		target  string // its view of the source
		claimed bool
		want    error
	}{
		"given up":                      {given, driver.Reply{Value: int64(0)}, "a master 3 0-6", true, nil},
		"with a key left":               {given, driver.Reply{Value: int64(1)}, "a master 3 0-6", false, nil},
		"nobody counts":                 {given, refused("ERR"), "a master 3 0-6", false, nil},
		"no view":                       {"nonsense", driver.Reply{Value: int64(0)}, "a master 3 0-6", false, nil},
		"the source follows the target": {nodesText("a myself,slave=b 4", "b master 4 7 10-20"), driver.Reply{Value: int64(5)}, "a slave=b 4", true, nil},
		"the source follows another":    {nodesText("a myself,slave=c 3", "b master 4 7 10-20", "c master 5 0-6"), driver.Reply{Value: int64(0)}, "a master 3 0-6", false, nil},
		"the source has it again":       {nodesText("a myself,master 3 0-9", "b master 4 10-20"), driver.Reply{Value: int64(5)}, "a master 3 0-9", false, errLookAgain},
		"the source has it for nobody":  {nodesText("a myself,master 3 0-6", "b master 4 10-20"), driver.Reply{Value: int64(0)}, "a master 3 0-6", false, errLookAgain},
		"the source was failed over":    {given, driver.Reply{Value: int64(0)}, "a slave=c 3", false, errLookAgain},
		"the source is dead":            {given, driver.Reply{Value: int64(0)}, "a master,fail 3 0-6", false, errDown},
	} {
		t.Run(name, func(t *testing.T) {
			w := wire(t)
			w.src.view = seen(t, "a myself,master 3 0-6", "b master 4 7 10-20")
			w.atSource["CLUSTER NODES"], w.atSource["CLUSTER COUNTKEYSINSLOT"] = driver.Reply{Value: test.view}, test.keys
			other := "c master 5 30"
			w.atTarget["CLUSTER NODES"] = driver.Reply{Value: nodesText("b myself,master 5 7 10-20", test.target, other)}
			before := driver.Reply{Value: nodesText("b myself,master 4 10-20 [7-<-a]", test.target, other)}
			w.toTarget.replies = inTurn(w.atTarget, "CLUSTER NODES", before)
			err := w.claimGiven(t.Context(), []int{7})
			if claimed := strings.Contains(strings.Join(w.toTarget.sent, "\n"), "SETSLOT 7 NODE"); claimed != test.claimed || claimed != (err == nil) || !errors.Is(err, test.want) && test.want != nil {
				t.Errorf("claimed %v, error is %v", claimed, err)
			}
		})
	}
	t.Run("nothing was", func(t *testing.T) {
		w := wire(t)
		if err := w.claimGiven(t.Context(), nil); err != nil || w.claimed || len(w.toSource.sent)+len(w.toTarget.sent)+len(w.said) > 0 {
			t.Errorf("sent %q and %q, said %v, error is %v", w.toSource.sent, w.toTarget.sent, w.said, err)
		}
	})
}
