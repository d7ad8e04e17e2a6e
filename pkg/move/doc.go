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
// A target that was failed over, and has not heard of it, loses what it is sent. So
// each end is asked what it thinks of the other: the target whether the source was
// deposed, the source whether the target was.
//
// While the source migrates it is authoritative: clients are sent to the target
// only for keys that the source does not have. So the source's copy of a key
// may replace the target's, but only as long as the process that opened the
// slot sees the very source that it opened it on. Every other key found on both
// sides is compared; equal values merge, and differing ones are a conflict for
// people.
//
// # What is left
//
// No order of commands closes these gaps of the servers; they are bounded, looked
// for and named:
//
//   - What a replica of the source acknowledges that is promoted within the lease is
//     deleted by the target's claim, on servers that do not replicate SETSLOT.
//   - A replica of the source that is promoted between the target's claim and the
//     moment at which it hears of it claims the slots, too. The two claims may have
//     the same epoch, or the replica's the higher one. Where it wins, the target
//     deletes all keys that it has got of the window, and of the windows of other
//     lanes that were claimed in the same moment. That moment is about a millisecond
//     where claims are broadcast, since Redis 7.0; an election takes longer, so it
//     takes a failover by hand. The source's replicas are asked after each claim.
//   - What a target got by one MIGRATE and no replica of it has is lost if it is
//     failed over then: one batch in each lane.
//   - A key that clients delete at the source when the reply of its MIGRATE is lost
//     comes back: its copy on the target cannot be told from a key that has moved.
//
// # What happens when something fails
//
// A reply that did not come says nothing. The mover then dials again, looks at
// both ends and goes on from what it sees; the same code continues its own work
// and that of a process that was killed.
package move
