package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/health"
	"github.com/trib-dev/trib/pkg/plan"
)

// cluster5 is a cluster in which slot 5 goes from a to b; the lines of a row
// replace the nodes that they name, or are added.
const cluster5 = `a 10.0.0.1:7000 0-5460 keys=5:25
b 10.0.0.2:7000 5461-10922 keys=5:0
c 10.0.0.3:7000 10923-16383 keys=5:0`

// rows are the states of research/protocol.md 5.4 and research/failures.md 2 that
// this part of a tool can repair, by the names that they have there. What is
// expected are the steps, and after "?" what needs a decision and by which flag.
var rows = []struct {
	name, state string
	o           plan.HealOptions
	want        string
}{
	{"S1, 1: only the target was told", "b importing=5:a", plan.HealOptions{}, "move 5 a b"},
	{"S1', 70: only the source was told", "a migrating=5:b", plan.HealOptions{}, "move 5 a b"},
	{"S2, 2: both were told, no key moved", "a migrating=5:b\nb importing=5:a", plan.HealOptions{}, "move 5 a b"},
	{"S3, 3: few keys moved", "a migrating=5:b keys=5:24\nb importing=5:a keys=5:1", plan.HealOptions{}, "move 5 a b"},
	{"S3, 4, 5, 9, 10, 11: most keys moved", "a migrating=5:b keys=5:12\nb importing=5:a keys=5:13", plan.HealOptions{}, "move 5 a b"},
	{"S3b, 32, 41: a key is on both", "a migrating=5:b keys=5:25\nb importing=5:a keys=5:1", plan.HealOptions{}, "move 5 a b"},
	{"S3 without the target's flag", "a migrating=5:b keys=5:12\nb keys=5:13", plan.HealOptions{}, "move 5 a b"},
	{"S4, 6: all keys moved", "a migrating=5:b keys=5:0\nb importing=5:a keys=5:25", plan.HealOptions{}, "move 5 a b"},
	{"S5, 7: the target has claimed it", "a 0-4,6-5460 migrating=5:b keys=5:0\nb 5,5461-10922 keys=5:25", plan.HealOptions{}, "close 5 a"},
	{"S5x: the target claimed it too early", "a 0-4,6-5460 migrating=5:b keys=5:3\nb 5,5461-10922 keys=5:22", plan.HealOptions{}, "? foreign-keys 5 --foreign-keys"},
	{"S5x, adopted", "a 0-4,6-5460 migrating=5:b keys=5:3\nb 5,5461-10922 keys=5:22", plan.HealOptions{ForeignKeys: plan.ForeignAdopt}, "gather 5 a b"},
	{"O1, 8, 27: the source has given it", "a 0-4,6-5460 keys=5:0 sees=b:5\nb importing=5:a keys=5:25", plan.HealOptions{}, "move 5 a b"},
	{"O1, and nobody knows where it went", "a 0-4,6-5460 keys=5:0\nb importing=5:a keys=5:25", plan.HealOptions{}, "give 5 b"},
	{"O1, and a replica of the target shows it, too", "a 0-4,6-5460 keys=5:0 sees=b:5\nb importing=5:a keys=5:25\nd 10.0.0.4:7000 replica=b importing=5:a keys=5:25", plan.HealOptions{}, "move 5 a b"},
	{"O1, and a third one has keys", "a 0-4,6-5460 keys=5:0 sees=b:5\nb importing=5:a keys=5:25\nc keys=5:2", plan.HealOptions{}, "pin 5 c b; give 5 b; gather 5 c b"},
	{"O1, and another was given it as well", "a 0-4,6-5460 keys=5:0 sees=b:5\nb importing=5:a keys=5:25\nc importing=5:d keys=5:2\nd 10.0.0.4:7000 keys=5:0 sees=c:5", plan.HealOptions{}, "pin 5 c b; give 5 b; gather 5 c b"},
	{"27: and the target died, its replica has the keys", "a 0-4,6-5460 keys=5:0\nb keys=5:25\nd 10.0.0.4:7000 replica=b keys=5:25", plan.HealOptions{}, "give 5 b"},

	{"F1, 21, 23: the source was failed over", "a - replica=e keys=5:13\nb importing=5:a keys=5:12\ne 10.0.0.8:7000 0-5460 keys=5:13", plan.HealOptions{}, "move 5 e b"},
	{"F1v, 22: and its replica knows of the move", "a migrating=5:b keys=5:13\nb importing=5:a keys=5:12\nd 10.0.0.4:7000 replica=a keys=5:13 migrating=5:b", plan.HealOptions{}, "move 5 a b"},
	{"F2, 26: the target was failed over", "a migrating=5:d keys=5:13\nb keys=5:12\nd 10.0.0.4:7000 replica=b keys=5:12", plan.HealOptions{}, "move 5 a b"},
	{"F2, 28: the target, which never had slots, is dead, and another has keys", "a migrating=5:d keys=5:13\nb keys=5:3\nd 10.0.0.4:7000 down=refused fail=yes", plan.HealOptions{}, "? open-slots 5 --fix-with-unreachable-masters"},
	{"F2, 28: the target is down", "a migrating=5:d keys=5:13\nd 10.0.0.4:7000 down=refused", plan.HealOptions{}, "? open-slots 5"},
	{"F2, 28: the target is down, others see it at work, and a third one has keys", "a migrating=5:d keys=5:13\nb keys=5:7 epoch=9\nd 10.0.0.4:7000 down=timeout epoch=3", plan.HealOptions{}, "? open-slots 5"},
	{"F2, 28: the target is dead, also of slots of another", "a migrating=5:d,6:d\nb migrating=5500:d\nd 10.0.0.4:7000 down=refused fail=yes", plan.HealOptions{}, "? open-slots 5-6 --fix-with-unreachable-masters; ? open-slots 5500 --fix-with-unreachable-masters"},
	{"F2, 28: and it is given up", "a migrating=5:d,6:d\nb migrating=5500:d\nd 10.0.0.4:7000 down=refused fail=yes", givenUp, "close 5-6 a; close 5500 b"},
	{"F2, 28: the target is dead, and nobody has keys who may have replaced it", "a migrating=5:d keys=5:13 epoch=5\nb keys=5:0 epoch=9\nd 10.0.0.4:7000 down=refused fail=yes epoch=3", plan.HealOptions{}, "? open-slots 5 --fix-with-unreachable-masters"},
	{"F2, 28: the target is dead, which had slots after the one with keys", "a migrating=5:d keys=5:13\nb keys=5:12 epoch=2\nd 10.0.0.4:7000 down=refused fail=yes epoch=3", plan.HealOptions{}, "? open-slots 5 --fix-with-unreachable-masters"},
	{"F2, 28: the target is dead, and another has keys, with slots of others since", "a migrating=5:d keys=5:13\nb keys=5:12 epoch=9\nd 10.0.0.4:7000 down=refused fail=yes", plan.HealOptions{}, "? open-slots 5 --fix-with-unreachable-masters"},
	{"F2, 26: the target was failed over and died", "a migrating=5:d keys=5:13\nb keys=5:12\nd 10.0.0.4:7000 replica=b down=refused fail=yes", plan.HealOptions{}, "move 5 a b"},
	{"F2, 26: the target was failed over, in its shard", "a migrating=5:d keys=5:13\nb keys=5:12 shard=x\nd 10.0.0.4:7000 down=refused fail=yes shard=x", plan.HealOptions{}, "move 5 a b"},
	{"F2, 26: and another shard has keys", "a migrating=5:d keys=5:13\nb keys=5:12 shard=x epoch=9\nd 10.0.0.4:7000 down=refused fail=yes shard=y epoch=3", plan.HealOptions{}, "? open-slots 5 --fix-with-unreachable-masters"},
	{"nobody knows the target, and a third one has keys", "a migrating=5:99 keys=5:13\nb keys=5:7 epoch=9", plan.HealOptions{}, "? open-slots 5"},
	{"nobody knows the target, and the dead are given up", "a migrating=5:99 keys=5:13", givenUp, "? open-slots 5"},
	{"F1 and F2: nobody knows of the move", "a keys=5:13\nb keys=5:12", plan.HealOptions{}, "? foreign-keys 5 --foreign-keys"},
	{"F1 and F2, adopted", "a keys=5:13\nb keys=5:12", plan.HealOptions{ForeignKeys: plan.ForeignAdopt}, "gather 5 b a"},
	{"F3: the target died after its claim", "a 0-4,6-5460 keys=5:0\nb keys=5:25\nd 10.0.0.4:7000 replica=b keys=5:25", plan.HealOptions{}, "give 5 b"},
	{"F4, 37: restarted with old data", "b importing=5:a keys=5:13", plan.HealOptions{}, "? foreign-keys 5 --foreign-keys"},
	{"F4, 37, adopted", "b importing=5:a keys=5:13", plan.HealOptions{ForeignKeys: plan.ForeignAdopt}, "gather 5 b a"},
	{"F5, 69: foreign keys", "b keys=5:13 lone=5:2", plan.HealOptions{}, "? foreign-keys 5 --foreign-keys"},
	{"F5, 69, adopted", "b keys=5:13 lone=5:2", plan.HealOptions{ForeignKeys: plan.ForeignAdopt}, "gather 5 b a"},
	{"F5, 42: the owner has them", "b keys=5:13 lone=5:0", plan.HealOptions{ForeignKeys: plan.ForeignDrop}, "drop 5 b a"},
	{"F5, discarded", "b keys=5:13 lone=5:2", plan.HealOptions{ForeignKeys: plan.ForeignDiscard}, "discard 5 b a"},
	{"F5 on two nodes", "b keys=5:13\nc keys=5:2", plan.HealOptions{ForeignKeys: plan.ForeignAdopt}, "gather 5 b a; gather 5 c a"},

	{"M1, 65: two claim it", "b 5,5461-10922 keys=5:13 epoch=2", plan.HealOptions{}, "pin 5 b a; give 5 a; gather 5 b a"},
	{"M1 where the loser has nothing", "b 5,5461-10922 epoch=2", plan.HealOptions{}, "pin 5 b a; give 5 a; gather 5 b a"},
	{"M1 and leftovers", "b 5,5461-10922 keys=5:13 epoch=2\nc importing=5:a", plan.HealOptions{}, "pin 5 b a; close 5 c; give 5 a; gather 5 b a"},
	{"M1 and foreign keys", "b 5,5461-10922 keys=5:13 epoch=2\nc keys=5:1", plan.HealOptions{}, "pin 5 b a; pin 5 c a; give 5 a; gather 5 b a; gather 5 c a"},
	{"81: a stranger that owns slots was let in", "f 10.0.0.9:7000 5-6 epoch=50 keys=5:300,6:0\na keys=5:25,6:0\nb keys=5:0,6:0\nc keys=5:0,6:0", plan.HealOptions{}, "pin 5-6 f a; give 5-6 a; gather 5-6 f a"},
	{"C1: the owner does not answer", "a 0-4,6-5460\nd 10.0.0.4:7000 down=refused", plan.HealOptions{}, "? uncovered-slots 5"},
	{"C1, and one of two claims another one", "a 0-4,6-5460\nb 6,5461-10922\nd 10.0.0.4:7000 down=refused", plan.HealOptions{}, "? uncovered-slots 5; ? multiple-owners 6"},
	{"C1, and it is dead and given up", "a 0-4,6-5460 keys=5:0\nd 10.0.0.4:7000 down=refused fail=yes", givenUp, "give 5 a"},
	{"C1, and it is given up, which others see at work", "a 0-4,6-5460 keys=5:0\nd 10.0.0.4:7000 down=timeout", givenUp, "? uncovered-slots 5"},
	{"C1, and it is given up, whom a replica can replace", "a 0-4,6-5460 keys=5:0\nd 10.0.0.4:7000 down=refused fail=yes\ne 10.0.0.8:7000 replica=d keys=5:0", givenUp, "? uncovered-slots 5"},
	{"C2, 66: nobody has it or keys of it", "a 0-4,6-5460 keys=5:0", plan.HealOptions{}, "give 5 a"},
	{"C2 and a leftover", "a 0-4,6-5460 migrating=5:b keys=5:0", plan.HealOptions{}, "close 5 a; give 5 a"},
	{"67: nobody has it, and one keys of it", "a 0-4,6-5460 keys=5:25", plan.HealOptions{}, "give 5 a"},
	{"68: nobody has it, and two keys of it", "a 0-4,6-5460 keys=5:25\nb keys=5:1", plan.HealOptions{}, "pin 5 b a; give 5 a; gather 5 b a"},
	{"71: importing, not migrating, with keys", "b importing=5:a keys=5:25\na keys=5:0", plan.HealOptions{ForeignKeys: plan.ForeignAdopt}, "gather 5 b a"},
	{"72: two import it, without keys", "b importing=5:a\nc importing=5:a", plan.HealOptions{}, "close 5 b; close 5 c"},
	{"72: two import it, one with keys", "b importing=5:a keys=5:2\nc importing=5:a", plan.HealOptions{ForeignKeys: plan.ForeignAdopt}, "close 5 c; gather 5 b a"},
	{"72: two import it, and it goes to one of them", "a migrating=5:b\nb importing=5:a keys=5:1\nc importing=5:a keys=5:2", plan.HealOptions{ForeignKeys: plan.ForeignAdopt}, "move 5 a b; gather 5 c b"},
	{"72: two import it from a master that was failed over", "a - replica=e keys=5:13\ne 10.0.0.8:7000 0-5460 keys=5:13\nb importing=5:a keys=5:5\nc importing=5:a keys=5:7", plan.HealOptions{ForeignKeys: plan.ForeignAdopt}, "gather 5 c e; gather 5 b e"},
	{"72: and nobody says what becomes of their keys", "a - replica=e keys=5:13\ne 10.0.0.8:7000 0-5460 keys=5:13\nb importing=5:a keys=5:5\nc importing=5:a keys=5:7", plan.HealOptions{}, "? foreign-keys 5 --foreign-keys; ? foreign-keys 5 --foreign-keys"},
	{"72: two import it from one that was failed over, and from the one that took its place", "a - replica=e keys=5:13\ne 10.0.0.8:7000 0-5460 keys=5:13\nb importing=5:a keys=5:5\nc importing=5:e keys=5:0", plan.HealOptions{}, "close 5 c; move 5 e b"},
	{"72: two import it, and one owns it by now", "a - replica=e keys=5:13\ne 10.0.0.8:7000 0-5460 importing=5:a keys=5:13\nb importing=5:a keys=5:5", plan.HealOptions{}, "move 5 e b"},
	{"imported from one that never had it", "b importing=5:c", plan.HealOptions{}, "close 5 b"},
	{"imported from one that never had it, with keys", "b importing=5:c keys=5:2", plan.HealOptions{}, "? foreign-keys 5 --foreign-keys"},
	{"imported from one without slots, with keys", "a epoch=5\nb importing=5:d keys=5:2\nd 10.0.0.4:7000 epoch=1", plan.HealOptions{}, "? foreign-keys 5 --foreign-keys"},
	{"imported from a dead one with other slots, with keys", "a epoch=5\nb importing=5:d keys=5:2\nc 10923-13000\nd 10.0.0.4:7000 13001-16383 down=refused fail=yes epoch=1", plan.HealOptions{}, "? uncovered-slots 13001-16383 --fix-with-unreachable-masters; ? foreign-keys 5 --foreign-keys"},
	{"imported from a dead one that never had slots, with keys", "a epoch=5\nb importing=5:d keys=5:2\nd 10.0.0.4:7000 down=refused fail=yes", plan.HealOptions{}, "? foreign-keys 5 --foreign-keys"},
	{"imported from a replica of one that never had it", "b importing=5:d keys=5:2\nd 10.0.0.4:7000 replica=c", plan.HealOptions{}, "? foreign-keys 5 --foreign-keys"},
	{"imported from a silent one that never had it", "b importing=5:d\nc 10923-13000\nd 10.0.0.4:7000 13001-16383 down=refused fail=yes", plan.HealOptions{}, "close 5 b; ? uncovered-slots 13001-16383 --fix-with-unreachable-masters"},
	{"a last slot goes, and keys of others are in its way", "a 5 migrating=5:b keys=5:25,6:3\nb 0-4,7-10922 importing=5:a\nc 6,10923-16383", plan.HealOptions{ForeignKeys: plan.ForeignAdopt}, "gather 6 a c; move 5 a b"},
	{"and nobody says what becomes of these", "a 4-5 migrating=4:b,5:b keys=4:1,5:25,6:3\nb 0-3,7-10922 importing=4:a,5:a\nc 6,10923-16383", plan.HealOptions{}, "move 4 a b; ? open-slots 5 --foreign-keys; ? foreign-keys 6 --foreign-keys"},
	{"and there is no other slot", "a 5 migrating=5:b keys=5:25,6:3\nb 0-4,7-10922 importing=5:a\nc 6,10923-16383", plan.HealOptions{}, "? open-slots 5 --foreign-keys; ? foreign-keys 6 --foreign-keys"},
	{"and such keys of slots that are on their way", "a 5 migrating=5:b keys=5:25,6:3\nb 0-4,7-10922 importing=5:a,6:c\nc 6,10923-16383 migrating=6:b", plan.HealOptions{ForeignKeys: plan.ForeignAdopt}, "move 6 c b; gather 6 a b; move 5 a b"},
	{"and a third node has keys of its last slot", "a 5 migrating=5:b keys=5:25,6:3\nb 0-4,7-10922 importing=5:a,6:c\nc 6,10923-16383 migrating=6:b keys=5:2", plan.HealOptions{ForeignKeys: plan.ForeignAdopt}, "move 6 c b; gather 6 a b; move 5 a b; gather 5 c b"},
	{"what is held back is brought nowhere", "a 5 migrating=5:b keys=5:25,7000:3\nb 0-4,6-10922 importing=5:a\nc keys=5:2", plan.HealOptions{Begun: []plan.Step{{Action: plan.GatherKeys, From: nodeID("c"), To: nodeID("b"), Slots: must(cluster.ParseSlotSet("5"))}}}, "? open-slots 5 --foreign-keys; ? foreign-keys 7000 --foreign-keys"},
	{"one is dead, and another does not answer", "a 0-4,6-5460\nc down=timeout\nd 10.0.0.4:7000 down=refused fail=yes", plan.HealOptions{}, "? uncovered-slots 5,10923-16383"},
	{"one does not answer, and another is dead", "a 0-4,6-5460\nc down=refused fail=yes\nd 10.0.0.4:7000 down=timeout", plan.HealOptions{}, "? uncovered-slots 5,10923-16383"},
	{"on Valkey 8, while a healthy master does not answer", "a server=valkey/8.1.1 migrating=5:b keys=5:12\nb server=valkey/8.1.1 importing=5:a keys=5:13\nc server=valkey/8.1.1 down=timeout", plan.HealOptions{}, "? open-slots 5; ? uncovered-slots 10923-16383"},
	{"on Valkey 8, while a dead master does not answer", "a server=valkey/8.1.1 migrating=5:b keys=5:12\nb server=valkey/8.1.1 importing=5:a keys=5:13\nc server=valkey/8.1.1 down=refused fail=yes", plan.HealOptions{}, "move 5 a b; ? uncovered-slots 10923-16383 --fix-with-unreachable-masters"},
	{"on Redis 7, while a healthy master does not answer", "a migrating=5:b keys=5:12\nb importing=5:a keys=5:13\nc down=timeout", plan.HealOptions{}, "move 5 a b; ? uncovered-slots 10923-16383"},
	{"73: a replica shows what is open", "d 10.0.0.4:7000 replica=a migrating=5:b keys=5:25", plan.HealOptions{}, ""},
	{"X1: an atomic migration left nothing", "", plan.HealOptions{}, ""},

	{"a gathering was killed, and is known", "b importing=5:a keys=5:3", plan.HealOptions{Begun: []plan.Step{{Action: plan.GatherKeys, From: nodeID("b"), To: nodeID("a"), Slots: must(cluster.ParseSlotSet("5"))}}}, "gather 5 b a"},
	{"a gathering was killed at its end", "b importing=5:a keys=5:0", plan.HealOptions{Begun: []plan.Step{{Action: plan.GatherKeys, From: nodeID("b"), To: nodeID("a"), Slots: must(cluster.ParseSlotSet("5"))}}}, "close 5 b"},
	{"a gathering of other slots was killed", "b importing=5:a keys=5:3", plan.HealOptions{Begun: []plan.Step{{Action: plan.GatherKeys, From: nodeID("b"), To: nodeID("a"), Slots: must(cluster.ParseSlotSet("6"))}}}, "? foreign-keys 5 --foreign-keys"},
	{"a discarding was killed: what is lost is asked again", "b importing=5:a keys=5:3", plan.HealOptions{Begun: []plan.Step{{Action: plan.DiscardKeys, From: nodeID("b"), To: nodeID("a"), Slots: must(cluster.ParseSlotSet("5"))}}}, "drop 5 b a"},

	{"a given slot where only slots without owners are repaired", "a 0-4,6-5460 keys=5:0 sees=b:5\nb importing=5:a keys=5:25", plan.HealOptions{Only: []health.Code{health.Uncovered}}, "give 5 b"},
	{"an open slot where only foreign keys are repaired", "a migrating=5:b keys=5:12\nb importing=5:a keys=5:13", plan.HealOptions{Only: []health.Code{health.ForeignKeys}, ForeignKeys: plan.ForeignAdopt}, ""},
	{"foreign keys where only open slots are repaired", "b keys=5:13", plan.HealOptions{Only: []health.Code{health.OpenSlots}, ForeignKeys: plan.ForeignAdopt}, ""},
	{"one that imports knows no owner", "b importing=5:a keys=5:3 sees=c:5", plan.HealOptions{ForeignKeys: plan.ForeignAdopt}, "pin 5 b a; gather 5 b a"},
	{"a third that imports what goes on knows no owner", "a migrating=5:b\nb importing=5:a keys=5:1\nc importing=5:a keys=5:2 sees=b:5", plan.HealOptions{ForeignKeys: plan.ForeignAdopt}, "move 5 a b; gather 5 c b"},
	{"a gathering was killed, and nothing else is said now", "b importing=5:a keys=5:3", plan.HealOptions{ForeignKeys: plan.ForeignList, Begun: []plan.Step{{Action: plan.GatherKeys, From: nodeID("b"), To: nodeID("a"), Slots: must(cluster.ParseSlotSet("5"))}}}, "gather 5 b a"},
	{"a gathering from another node was killed", "b importing=5:a keys=5:3", plan.HealOptions{Begun: []plan.Step{{Action: plan.GatherKeys, From: nodeID("c"), To: nodeID("a"), Slots: must(cluster.ParseSlotSet("5"))}}}, "? foreign-keys 5 --foreign-keys"},
	{"a gathering to another node was killed", "b importing=5:a keys=5:3", plan.HealOptions{Begun: []plan.Step{{Action: plan.GatherKeys, From: nodeID("b"), To: nodeID("c"), Slots: must(cluster.ParseSlotSet("5"))}}}, "? foreign-keys 5 --foreign-keys"},
	{"nobody has it or keys of it, and one imports it", "a 0-4,6-5460 keys=5:0\nc importing=5:a", plan.HealOptions{}, "close 5 c; give 5 a"},
	{"nobody has it, one imports it, and a replica has the only copy", "a 0-4,6-5460 keys=5:0\nc importing=5:a\nd 10.0.0.4:7000 replica=b keys=5:3", plan.HealOptions{}, "? uncovered-slots 5"},
	{"two claim it, and a replica has the only copy", "b 5,5461-10922 keys=5:13 epoch=2\nd 10.0.0.4:7000 replica=c keys=5:3", plan.HealOptions{}, "? multiple-owners 5"},
	{"two claim it, and most believe the later one", "b 5,5461-10922 keys=5:13 epoch=2\nc sees=b:5", plan.HealOptions{}, "pin 5 a b; give 5 b; gather 5 a b"},
	{"nobody has any slot", "a -\nb -\nc -\na keys=5:0", plan.HealOptions{Slots: must(cluster.ParseSlotSet("5"))}, "give 5 a"},
	{"two slots with the same problem", "a migrating=5:d,6:d keys=5:13,6:1\nd 10.0.0.4:7000 down=refused", plan.HealOptions{}, "? open-slots 5-6"},
	{"two slots with two problems", "a migrating=5:d,6:f keys=5:13,6:1\nd 10.0.0.4:7000 down=refused\nf 10.0.0.9:7000 down=refused", plan.HealOptions{}, "? open-slots 5; ? open-slots 6"},
	{"the same problem of two kinds of slots", "a 0-5,7-5460 keys=9:0\nb 5,5461-10922", plan.HealOptions{Slots: must(cluster.ParseSlotSet("5-6"))}, "? multiple-owners 5; ? uncovered-slots 6"},
	{"a slot goes, others stay, and nobody says what becomes of foreign keys", "a 0-5,7-5460 migrating=5:b keys=5:25,6:3\nb importing=5:a\nc 6,10923-16383", plan.HealOptions{}, "move 5 a b; ? foreign-keys 6 --foreign-keys"},
	{"a last slot is given already, and nobody says what becomes of foreign keys", "a - keys=5:0,6:3 sees=b:5\nb 0-4,7-10922 importing=5:a keys=5:25\nc 6,10923-16383", plan.HealOptions{}, "move 5 a b; ? foreign-keys 6 --foreign-keys"},
	{"groups that do not see each other", "a 0-4,6-5460 keys=5:0 knows=b\nb knows=a\nc knows=-", plan.HealOptions{}, "? uncovered-slots 5"},
	{"one imports a slot that it was given, and a third one owns it", "a 0-4,6-5460 keys=5:0 sees=b:5\nb importing=5:a keys=5:0\nc 5,10923-16383 keys=5:0", plan.HealOptions{}, "close 5 b"},
	{"on Valkey 8, while a replica does not answer", "a server=valkey/8.1.1 migrating=5:b keys=5:12\nb server=valkey/8.1.1 importing=5:a keys=5:13\nd 10.0.0.4:7000 server=valkey/8.1.1 replica=c down=timeout", plan.HealOptions{}, "move 5 a b"},
	{"on Valkey 8, while a master does not answer to which nobody has a link", "a server=valkey/8.1.1 migrating=5:b keys=5:12\nb server=valkey/8.1.1 importing=5:a keys=5:13\nc server=valkey/8.1.1 down=timeout unlinked=yes", plan.HealOptions{}, "move 5 a b; ? uncovered-slots 10923-16383"},
	{"on Valkey 8, while a healthy master does not answer, and a leftover is closed", "a server=valkey/8.1.1\nb server=valkey/8.1.1 importing=5:d\nc server=valkey/8.1.1 down=timeout\nd 10.0.0.4:7000 server=valkey/8.1.1", plan.HealOptions{}, "close 5 b; ? uncovered-slots 10923-16383"},
}

// givenUp is the decision to do without what dead nodes have.
var givenUp = plan.HealOptions{TopologyOptions: plan.TopologyOptions{TakeFromDead: true}}

func TestHealRows(t *testing.T) {
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s := parseState(merged(cluster5, row.state))
			p, left := plan.Heal(s, row.o)
			var got []string
			for _, step := range p.Steps {
				got = append(got, brief(step))
			}
			for _, u := range left {
				flag, _, _ := strings.Cut(u.Flag, " ")
				got = append(got, strings.TrimSpace(fmt.Sprintf("? %s %s %s", u.Code, u.Slots, flag)))
			}
			if text := strings.Join(got, "; "); text != row.want {
				t.Errorf("got  %s\nwant %s\n%v", text, row.want, left)
			}
			for _, step := range p.Steps {
				if status, why := p.Status(step, s); status != plan.Ready {
					t.Errorf("%s is %s: %s", p.Describe(step), status, why)
				}
			}
		})
	}
}

// merged puts the fields of each line of a row in the place of those of the node;
// a dash is for no slots.
func merged(base, row string) string {
	var order []string
	lines := make(map[string]string)
	for _, text := range []string{base, row} {
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			name, rest, _ := strings.Cut(line, " ")
			if lines[name] == "" {
				order = append(order, name)
				lines[name] = line
				continue
			}
			lines[name] = overlaid(lines[name], rest)
		}
	}
	var out strings.Builder
	for _, name := range order {
		out.WriteString(lines[name] + "\n")
	}
	return out.String()
}

func overlaid(line, rest string) string {
	fields := strings.Fields(line)
	for _, field := range strings.Fields(rest) {
		name, _, named := strings.Cut(field, "=")
		i := 2
		for ; i < len(fields); i++ {
			old, _, oldNamed := strings.Cut(fields[i], "=")
			if named == oldNamed && (!named || old == name) {
				break
			}
		}
		if i < len(fields) {
			fields[i] = field
		} else {
			fields = append(fields, field)
		}
	}
	return strings.ReplaceAll(strings.Join(fields, " "), " - ", " ")
}

// brief is "move 5 a b".
func brief(s plan.Step) string {
	name := map[plan.Action]string{
		plan.MoveSlots: "move", plan.CloseSlots: "close", plan.PinSlots: "pin", plan.ClaimSlots: "give",
		plan.GatherKeys: "gather", plan.DropKeys: "drop", plan.DiscardKeys: "discard",
	}[s.Action]
	words := []string{name, s.Slots.String()}
	for _, id := range []string{string(s.Node), string(s.From), string(s.To)} {
		if id != "" {
			words = append(words, id[:1])
		}
	}
	return strings.Join(words, " ")
}

// What is discarded is told as far as it is known.
func TestDiscardingTellsWhatIsLost(t *testing.T) {
	for state, want := range map[string]string{
		"b keys=5:13":          "up to 13 keys on 10.0.0.2:7000",
		"b keys=5:13 lone=5:2": "2 keys on 10.0.0.2:7000",
		"b keys=5:13 lone=5:0": "",
	} {
		p, _ := plan.Heal(parseState(merged(cluster5, state)), plan.HealOptions{ForeignKeys: plan.ForeignDiscard})
		got, _, _ := strings.Cut(strings.Join(p.Warnings, "; "), " will be lost")
		if got != want {
			t.Errorf("%s: %q, want %q", state, got, want)
		}
	}
}

// What was decided about keys holds for nodes that have run since, and no step
// but those about keys decides anything.
func TestBegunKeepsDecisions(t *testing.T) {
	p := plan.Plan{Steps: []plan.Step{
		{Action: plan.MoveSlots, From: nodeID("a"), To: nodeID("b")},
		{Action: plan.GatherKeys, From: nodeID("a"), To: nodeID("b")},
		{Action: plan.DropKeys, From: nodeID("c"), To: nodeID("b")},
	}}
	got := p.Begun(func(id cluster.NodeID) bool { return id == nodeID("a") })
	if len(got) != 1 || got[0].Action != plan.GatherKeys {
		t.Errorf("begun are %v", got)
	}
}

// TestNobodyToCover: slots that only replicas could speak of are named.
func TestNobodyToCover(t *testing.T) {
	s := parseState(`a 10.0.0.1:7000 0-5460 down=refused fail=yes
b 10.0.0.2:7000 5461-16383 down=refused fail=yes
d 10.0.0.4:7000 replica=a syncing=yes nolink=yes keys=5:0,6:0`)
	var o plan.HealOptions
	o.TakeFromDead, o.Slots = true, cluster.SlotsOf(5, 6)
	p, left := plan.Heal(s, o)
	if len(p.Steps) > 0 || len(left) != 1 || left[0].Slots.String() != "5-6" {
		t.Errorf("steps %v, left %v", p.Steps, left)
	}
}
