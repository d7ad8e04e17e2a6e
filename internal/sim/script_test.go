package sim_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
)

const (
	scriptMasters = 3
	scriptSteps   = 40
	slotKeys      = 3
)

// scriptSlots are the slots in which scripts work: two of A's, and one each of
// B's and C's.
func scriptSlots() []int { return []int{0, 1, 6000, 12000} }

func nodeName(i int) string { return string(rune('A' + i)) }

// script is a random sequence of commands, the same for the same seed.
type script struct {
	seed     int
	server   string
	replicas int // of each master
	steps    []step
	r        *rand.Rand
}

func (s *script) nodes() int { return scriptMasters * (1 + s.replicas) }

// step is one command for one node. "@A" stands for A's id, "#A" for its port,
// "dump of k" for the payload that DUMP k gave before.
type step struct {
	node  int
	words []string
	pause time.Duration // afterwards, for something to expire
}

func (st step) String() string { return nodeName(st.node) + ": " + strings.Join(st.words, " ") }

func newScript(seed int, server string, replicas int) *script {
	s := &script{seed: seed, server: server, replicas: replicas, r: rand.New(rand.NewPCG(uint64(seed), 0))}
	for len(s.steps) < scriptSteps {
		s.grow()
	}
	return s
}

// grow adds a command, now and then with another one that it needs.
func (s *script) grow() {
	slot := s.pick(scriptSlots())
	node := s.r.IntN(s.nodes())
	if s.replicas > 0 && s.r.IntN(8) == 0 {
		s.add(node, s.role()...)
		return
	}
	switch n := s.r.IntN(100); {
	case n < 35:
		s.add(node, s.ownership(slot)...)
	case n < 40:
		s.add(node, "CLUSTER", "COUNTKEYSINSLOT", strconv.Itoa(slot))
	case n < 45:
		s.add(node, "CLUSTER", "GETKEYSINSLOT", strconv.Itoa(slot), strconv.Itoa(s.r.IntN(4)))
	case n < 50:
		s.add(node, s.nonsense()...)
	case n < 62:
		s.add(node, s.migrate(slot)...)
	case n < 68:
		key := s.key(slot)
		s.add(node, "DUMP", key)
		s.add(s.r.IntN(s.nodes()), "RESTORE", key, s.oneOf("0", "1000000"), "dump of "+key, "REPLACE")
	case n < 72:
		s.add(node, "SET", s.key(slot), "brief", "PX", "30")
		s.steps[len(s.steps)-1].pause = 400 * time.Millisecond
	case n < 75:
		s.add(node, "MULTI")
		s.add(node, s.data(slot)...)
		s.add(node, s.data(slot)...)
		s.add(node, s.oneOf("EXEC", "EXEC", "DISCARD"))
	default:
		if s.r.IntN(3) == 0 {
			s.add(node, "ASKING")
		}
		s.add(node, s.data(slot)...)
	}
}

func (s *script) add(node int, words ...string) {
	s.steps = append(s.steps, step{node: node, words: words})
}

func (s *script) ownership(slot int) []string {
	number, peer := strconv.Itoa(slot), "@"+nodeName(s.r.IntN(s.nodes()))
	switch n := s.r.IntN(20); {
	case n < 5:
		return []string{"CLUSTER", "SETSLOT", number, "MIGRATING", peer}
	case n < 10:
		return []string{"CLUSTER", "SETSLOT", number, "IMPORTING", peer}
	case n < 14:
		return []string{"CLUSTER", "SETSLOT", number, "NODE", peer}
	case n < 16:
		return []string{"CLUSTER", "SETSLOT", number, "STABLE"}
	case n < 17:
		return []string{"CLUSTER", "ADDSLOTS", number}
	case n < 18:
		return []string{"CLUSTER", "DELSLOTS", number}
	case n < 19:
		return []string{"CLUSTER", "BUMPEPOCH"}
	}
	return []string{"CLUSTER", s.oneOf("ADDSLOTSRANGE", "DELSLOTSRANGE"), number, number}
}

// role is what changes who follows whom.
func (s *script) role() []string {
	if s.r.IntN(2) == 0 {
		return []string{"CLUSTER", "REPLICATE", "@" + nodeName(s.r.IntN(s.nodes()))}
	}
	return []string{"CLUSTER", "FAILOVER"}
}

func (s *script) migrate(slot int) []string {
	words := []string{"MIGRATE", "127.0.0.1", "#" + nodeName(s.r.IntN(s.nodes())), "", "0", "1000"}
	for _, option := range []string{"COPY", "REPLACE"} {
		if s.r.IntN(3) == 0 {
			words = append(words, option)
		}
	}
	words = append(words, "KEYS", s.key(slot))
	if s.r.IntN(2) == 0 {
		words = append(words, s.key(slot))
	}
	return words
}

func (s *script) data(slot int) []string {
	key, other := s.key(slot), s.key(s.pick([]int{slot, slot, s.pick(scriptSlots())}))
	value := strconv.Itoa(s.r.IntN(1000))
	all := [][]string{
		{"SET", key, value},
		{"SET", key, value},
		{"SET", key, value, "EX", "100000"},
		{"RPUSH", key, value},
		{"RPUSH", key, value, "x"},
		{"GET", key},
		{"LRANGE", key, "0", "-1"},
		{"LRANGE", key, "-2", "0"},
		{"DEL", key},
		{"DEL", key, other},
		{"EXISTS", key, other},
		{"TYPE", key},
		{"TTL", key},
		{"PTTL", key},
		{"EXPIRE", key, "100000"},
		{"PEXPIRE", key, "-1"},
		{"PERSIST", key},
		{"RESTORE", key, "0", "no payload"},
		{"CLUSTER", "KEYSLOT", key},
		{"DBSIZE"},
	}
	return all[s.r.IntN(len(all))]
}

// nonsense is refused for one reason or another.
func (s *script) nonsense() []string {
	all := [][]string{
		{"CLUSTER", "SETSLOT", "16384", "STABLE"},
		{"CLUSTER", "SETSLOT", "x", "STABLE"},
		{"CLUSTER", "SETSLOT", "0", "NODE", strings.Repeat("0", 40)},
		{"CLUSTER", "SETSLOT", "0", "MIGRATING", "nobody"},
		{"CLUSTER", "SETSLOT", "6000", "IMPORTING", strings.Repeat("0", 40)},
		{"CLUSTER", "SETSLOT", "0", "WHATEVER", "@A"},
		{"CLUSTER", "SETSLOT", "0", "NODE"},
		{"CLUSTER", "SETSLOT", "0"},
		{"CLUSTER", "ADDSLOTS", "0", "x"},
		{"CLUSTER", "DELSLOTS", "-1"},
		{"CLUSTER", "ADDSLOTSRANGE", "5", "1"},
		{"CLUSTER", "ADDSLOTSRANGE", "5"},
		{"CLUSTER", "COUNTKEYSINSLOT", "16384"},
		{"CLUSTER", "COUNTKEYSINSLOT", "x"},
		{"CLUSTER", "GETKEYSINSLOT", "0", "-1"},
		{"CLUSTER", "GETKEYSINSLOT", "0"},
		{"CLUSTER", "REPLICATE", "nobody"},
		{"CLUSTER", "FORGET", "nobody"},
		{"CLUSTER", "SET-CONFIG-EPOCH", "7"},
		{"CLUSTER", "NOSUCH"},
		{"CLUSTER"},
		{"NOSUCH", "a", "b"},
		{"GET"},
		{"SET", "{t}1", "v", "EX", "0"},
		{"SET", "{t}1", "v", "PX", "x"},
		{"EXISTS", "a", "b"},
		{"SELECT", "1"},
		{"WAIT", "x", "1"},
		{"EXEC"},
		{"DISCARD"},
	}
	return all[s.r.IntN(len(all))]
}

func (s *script) pick(from []int) int          { return from[s.r.IntN(len(from))] }
func (s *script) oneOf(words ...string) string { return words[s.r.IntN(len(words))] }
func (s *script) key(slot int) string          { return slotTags()[slot] + strconv.Itoa(s.r.IntN(slotKeys)) }

// slotTags are hash tags of the scripts' slots.
var slotTags = sync.OnceValue(func() map[int]string {
	tags := make(map[int]string)
	for i := 0; len(tags) < len(scriptSlots()); i++ {
		tag := fmt.Sprintf("{t%d}", i)
		if slot := cluster.KeySlot(tag); slices.Contains(scriptSlots(), slot) && tags[slot] == "" {
			tags[slot] = tag
		}
	}
	return tags
})

// plain writes a reply as it can be compared: nodes by their names, sets in
// order, payloads and times not to the letter.
func (s *script) plain(reply any, w *world) string {
	switch v := reply.(type) {
	case error:
		return "error " + s.plainError(w.names.Replace(v.Error()))
	case int64:
		if v > 1000 {
			return "about " + strconv.FormatInt((v+500)/1000, 10) + "000"
		}
		return strconv.FormatInt(v, 10)
	case []any:
		var items []string
		for _, item := range v {
			items = append(items, s.plain(item, w))
		}
		return "[" + strings.Join(items, " ") + "]"
	case string:
		for key, dump := range w.dumps {
			if v == dump {
				return "dump of " + key
			}
		}
		return w.names.Replace(v)
	}
	return fmt.Sprint(reply)
}

var code = regexp.MustCompile(`^ERR|\b(BUSYKEY|OOM|CLUSTERDOWN|MOVED|ASK|TRYAGAIN|READONLY|NOAUTH|DUMP)\b`)

// plainError: the simulator words its errors as Redis 7.0 does. Of other servers'
// the codes are compared, those within a MIGRATE's included.
func (s *script) plainError(text string) string {
	if s.server == "redis-7.0" || !strings.HasPrefix(text, "ERR") {
		return text
	}
	return strings.Join(code.FindAllString(text, 2), " ")
}

// state is what all nodes think and hold, of the scripts' slots.
func (w *world) state() string {
	var b strings.Builder
	for i, send := range w.look {
		info := infoFields(send("CLUSTER", "INFO"))
		view, err := cluster.ParseNodes(send("CLUSTER", "NODES").(string))
		if err != nil {
			return err.Error()
		}
		fmt.Fprintf(&b, "%s: state %s, epoch %s of %s%s\n", nodeName(i), info["cluster_state"], info["cluster_my_epoch"], info["cluster_current_epoch"], w.masters(view))
		for _, slot := range scriptSlots() {
			fmt.Fprintf(&b, "%s: slot %d of %s, %s\n", nodeName(i), slot, w.ownership(view, slot), w.content(send, slot))
		}
	}
	return b.String()
}

// masters are who follows whom.
func (w *world) masters(v cluster.View) string {
	var pairs []string
	for _, n := range v.Nodes {
		if n.MasterID != "" {
			pairs = append(pairs, fmt.Sprintf(", %s of %s", w.names.Replace(string(n.ID)), w.names.Replace(string(n.MasterID))))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "")
}

func infoFields(reply any) map[string]string {
	text, _ := reply.(string)
	fields := make(map[string]string)
	for line := range strings.SplitSeq(text, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = value
	}
	return fields
}

func (w *world) ownership(v cluster.View, slot int) string {
	text := "nobody"
	for _, n := range v.Nodes {
		if n.Slots.Has(slot) {
			text = w.names.Replace(string(n.ID))
		}
	}
	self := v.Self()
	if to := self.Migrating[slot]; to != "" {
		text += " to " + w.names.Replace(string(to))
	}
	if from := self.Importing[slot]; from != "" {
		text += " from " + w.names.Replace(string(from))
	}
	return text
}

// content are the keys of a slot, and their values where they can be read.
func (w *world) content(send func(...string) any, slot int) string {
	keys, _ := send("CLUSTER", "GETKEYSINSLOT", strconv.Itoa(slot), "100").([]any)
	var items []string
	for _, key := range keys {
		items = append(items, fmt.Sprint(key, "=", send("GET", key.(string))))
	}
	slices.Sort(items)
	return w.names.Replace(strings.Join(items, " "))
}
