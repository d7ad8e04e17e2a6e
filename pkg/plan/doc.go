// Package plan decides what to do to a cluster, and writes it down: a
// [Plan] is a value, a list of steps that can be printed, saved, checked
// against the cluster's state and carried out by package apply.
//
// The planners are pure: the same [cluster.State] and options give the same
// plan to the byte. They do no I/O, read no clock and draw no random numbers.
//
// Every step is idempotent and can tell from a state whether it is done, ready
// or blocked ([Plan.Status]). That is all there is to resuming: a plan whose
// tool was killed is applied again, and what is done is passed over.
package plan
