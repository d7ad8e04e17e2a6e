// Package cluster is the model of a Redis Cluster or Valkey cluster: node
// ids, addresses, slot sets, one node's opinion of the cluster ([View]) and
// everybody's opinions side by side ([State]).
//
// # Opinions, not truth
//
// A cluster has no single truth that a client could read. Each node answers
// CLUSTER NODES with what it believes: it is authoritative only for its own
// line (its slots, its migrating and importing slots), and repeats hearsay for
// all others. The model keeps that distinction: a [State] holds one [Member]
// per node and each member carries its own [View]. Questions such as "who owns
// slot 7" are asked of all members, and may have no answer or several.
//
// # Strict parsers
//
// The parsers in this package turn the servers' texts into values, and refuse
// what they do not understand: an unreadable answer must never be mistaken for
// an empty one, since "no keys" and "no slots" are the answers after which
// slots are given away.
//
// The package needs nothing but the standard library, does no I/O and reads no
// clock.
package cluster
