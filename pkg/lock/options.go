package lock

import "fmt"

// Options say how to take the lock.
type Options struct {
	Operation string // what the holder does, one word: "reshard"
	Holder    string // who and where, without spaces: "host:pid"; shown to others
	Skip      bool   // do without: for servers that refuse CLIENT SETNAME or CLIENT LIST
	Break     bool   // end the connections of whoever holds it, then take it
}

// HeldError is a lock that somebody else holds or is about to take.
type HeldError struct {
	Operation string // what the other one does
	Holder    string // who and where, as the other one says
	Client    string // the other one's address, as the node sees it
	Node      string // the node where it was seen
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("another operator works on this cluster: %s by %s (connected to %s from %s)",
		e.Operation, e.Holder, e.Node, e.Client)
}
