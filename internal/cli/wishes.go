package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// maxWeight bounds weights: larger differences leave masters without a slot.
const maxWeight = 10000

// readWishes reads the options of create that speak of single nodes. Nodes are
// found however their address is spelt.
func (o *createOptions) readWishes() (w plan.CreateOptions, err error) {
	w = plan.CreateOptions{Addrs: o.addrs, Replicas: o.replicas}
	if w.Zones, err = o.readZones(); err != nil {
		return w, err
	}
	if w.ReplicaOf, err = wishes(o, "--replica-of", o.replicaOf, func(s string) (cluster.Addr, error) {
		return o.node("--replica-of", s)
	}); err != nil {
		return w, err
	}
	if w.Slots, err = wishes(o, "--slots", o.slots, cluster.ParseSlotSet); err != nil {
		return w, err
	}
	w.Weights, err = wishes(o, "--weight", o.weights, func(s string) (int, error) {
		var n int
		err := number{&n, 1, maxWeight}.Set(s)
		return n, err
	})
	return w, err
}

// wishes reads pairs of a node and what it is to be or to have.
func wishes[V any](o *createOptions, flag string, pairs []pair, read func(string) (V, error)) (map[cluster.Addr]V, error) {
	out := make(map[cluster.Addr]V, len(pairs))
	for _, p := range pairs {
		addr, err := o.node(flag, p.key)
		if err != nil {
			return nil, err
		}
		if _, twice := out[addr]; twice {
			return nil, usage("%s names %s twice", flag, addr)
		}
		if out[addr], err = read(p.value); is[*usageError](err) {
			return nil, err
		} else if err != nil {
			return nil, usage("%s %s=%s: %w", flag, p.key, p.value, err)
		}
	}
	return out, nil
}

// node finds one of the new cluster's nodes.
func (o *createOptions) node(flag, name string) (cluster.Addr, error) {
	named, err := cluster.ParseAddr(name)
	if err != nil {
		return named, usage("%s: %w", flag, err)
	}
	for _, addr := range o.addrs {
		if addr.Canonical() == named.Canonical() {
			return addr, nil
		}
	}
	return named, usage("%s names %s, which is not one of the nodes", flag, named)
}

// readZones finds each host's zone. A host may stand in several spellings.
func (o *createOptions) readZones() (map[string]string, error) {
	zones := make(map[string]string, len(o.zones))
	for _, p := range o.zones {
		host := hostOf(strings.Trim(p.key, "[]"))
		known := false
		for _, addr := range o.addrs {
			if hostOf(addr.Host) != host {
				continue
			}
			if was := zones[addr.Host]; was != "" && was != p.value {
				return nil, usage("--zone puts host %s into %s and into %s", p.key, strconv.Quote(was), strconv.Quote(p.value))
			}
			zones[addr.Host], known = p.value, true
		}
		if !known {
			return nil, usage("--zone %s=%s: no node is on host %s", p.key, p.value, p.key)
		}
	}
	return zones, nil
}

func hostOf(host string) string { return cluster.Addr{Host: host}.Canonical().Host }

// nodePairs is a flag that says something of a node or a host, as NODE=WHAT; it may
// be given several times.
type nodePairs struct {
	value *[]pair
	form  string
}

type pair struct{ key, value string }

func (p nodePairs) Set(s string) error {
	key, value, ok := strings.Cut(s, "=")
	if !ok || key == "" || value == "" {
		return fmt.Errorf("want %s", p.form)
	}
	*p.value = append(*p.value, pair{key, value})
	return nil
}

func (p nodePairs) String() string {
	if p.value == nil {
		return ""
	}
	texts := make([]string, len(*p.value))
	for i, pair := range *p.value {
		texts[i] = pair.key + "=" + pair.value
	}
	return strings.Join(texts, " ")
}

func (p nodePairs) Type() string { return p.form }

// Continues reports whether a word is one more value of the flag before it.
func (p nodePairs) Continues(word string) bool { return isPair(word) }
