// Package move moves slots with their keys from one master to another, under
// traffic, without losing a write.
//
// # The classic move
//
// [Classic] works on a window of slots at a time. For each window: the target
// imports, the source migrates, both are read back; keys go over in batches,
// each of which a replica of the target has before the next one leaves; the
// source is proven empty; the target takes the slots; the source lets go.
//
// # Why it is safe
//
// A master that hears another one claim a slot with a higher epoch deletes the
// keys that it still has of it. So the target must not claim a slot before the
// source is proven empty, and the proof must still hold when the claim arrives:
// it is a lease of a few milliseconds, taken again when it ran out.
//
// While the source migrates it is authoritative: clients are sent to the target
// only for keys that the source does not have. So the source's copy of a key
// may replace the target's, but only as long as the process that opened the
// slot sees the very source that it opened it on. Every other key found on both
// sides is compared; equal values merge, and differing ones are a conflict for
// people.
//
// # What happens when something fails
//
// A reply that did not come says nothing. The mover then dials again, looks at
// both ends and goes on from what it sees; the same code continues its own work
// and that of a process that was killed.
package move
