// Package journal keeps on disk what was planned and what became of it, for
// status, resume, undo and audit. It is a sink of the events of package apply.
//
// Nothing is decided by a journal alone: a step is done, ready or blocked by
// what the cluster says. A journal that is lost, torn or cannot be written costs
// convenience and nothing else.
package journal
