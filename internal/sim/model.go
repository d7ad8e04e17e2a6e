package sim

import (
	"fmt"
	"slices"
)

// Model remembers what was written and how it went, so that it can tell in the
// end whether all of that is still there.
type Model struct {
	keys []string // in the order of the first write
	hist map[string]*history
}

type history struct {
	acked   []string // in order
	unknown []string // may be there, or not
}

// NewModel makes an empty model.
func NewModel() *Model { return &Model{hist: make(map[string]*history)} }

// Write writes through a client and remembers how it went.
func (m *Model) Write(k *Client, key, value string) Result {
	result, _ := k.Write(key, value)
	m.Record(key, value, result)
	return result
}

// Record remembers a write that was made elsewhere.
func (m *Model) Record(key, value string, result Result) {
	h := m.history(key)
	switch result {
	case Acked:
		h.acked = append(h.acked, value)
	case Unknown:
		h.unknown = append(h.unknown, value)
	}
}

// Delete removes a key through a client; an acknowledged deletion makes every
// earlier value's return a resurrection.
func (m *Model) Delete(k *Client, key string) Result {
	result, _ := k.Delete(key)
	h := m.history(key)
	switch result {
	case Acked:
		h.acked, h.unknown = nil, nil
	case Unknown:
		h.unknown = append(h.unknown, h.acked...)
		h.acked = nil
	}
	return result
}

func (m *Model) history(key string) *history {
	h := m.hist[key]
	if h == nil {
		h = &history{}
		m.hist[key] = h
		m.keys = append(m.keys, key)
	}
	return h
}

// Acked is the number of acknowledged writes.
func (m *Model) Acked() int {
	n := 0
	for _, h := range m.hist {
		n += len(h.acked)
	}
	return n
}

// LossKind says what went wrong with a value.
type LossKind int

const (
	Lost        LossKind = iota // acknowledged and not readable
	Duplicated                  // there more than once
	Resurrected                 // there, though never written, refused or deleted
	Reordered                   // acknowledged values are there in another order
)

// String is "lost", "duplicated", "resurrected" or "reordered".
func (k LossKind) String() string {
	return [...]string{"lost", "duplicated", "resurrected", "reordered"}[k]
}

// Loss is one value that is not as it should be.
type Loss struct {
	Kind       LossKind
	Key, Value string
	Why        string // the error, where the key could not be read at all
}

// String is "lost: value of key".
func (l Loss) String() string {
	text := fmt.Sprintf("%s: %s of %s", l.Kind, l.Value, l.Key)
	if l.Why != "" {
		text += " (" + l.Why + ")"
	}
	return text
}

// Check reads every key through a new client and compares. Call Settle first:
// what is still on its way counts as lost.
func (m *Model) Check(c *Cluster) []Loss {
	var losses []Loss
	client := c.Client()
	for _, key := range m.keys {
		got, err := client.Read(key)
		if err != nil {
			for _, value := range m.hist[key].acked {
				losses = append(losses, Loss{Lost, key, value, err.Error()})
			}
			continue
		}
		losses = append(losses, m.hist[key].compare(key, got)...)
	}
	return losses
}

func (h *history) compare(key string, got []string) []Loss {
	var losses []Loss
	add := func(kind LossKind, value string) {
		losses = append(losses, Loss{Kind: kind, Key: key, Value: value})
	}
	for _, value := range h.acked {
		if !slices.Contains(got, value) {
			add(Lost, value)
		}
	}
	var acked []string
	for i, value := range got {
		switch {
		case slices.Contains(got[:i], value):
			add(Duplicated, value)
		case slices.Contains(h.acked, value):
			acked = append(acked, value)
		case !slices.Contains(h.unknown, value):
			add(Resurrected, value)
		}
	}
	if i := h.firstOutOfOrder(acked); i >= 0 {
		add(Reordered, acked[i])
	}
	return losses
}

// firstOutOfOrder is where the values that are there stop being in the order of
// their acknowledgements; -1 where they do not.
func (h *history) firstOutOfOrder(there []string) int {
	next := 0
	for i, value := range there {
		at := slices.Index(h.acked, value)
		if at < next {
			return i
		}
		next = at
	}
	return -1
}
