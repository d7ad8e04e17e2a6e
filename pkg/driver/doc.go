// Package driver is the port through which the engine speaks to one node: dial
// it, send commands in a pipeline, read the replies. It says what an
// implementation must guarantee; driver/goredis talks to real servers,
// internal/sim to simulated ones, and driver/drivertest holds the contract as
// tests that both pass.
//
// # One connection is one connection
//
// A [Conn] is a single connection and never reconnects by itself. After a
// transport error it is broken for good: the caller has to dial again, and
// knows that it must look at the node again, since a node that was away may
// have come back with another role. Nothing is ever sent twice: a driver that
// repeated a MIGRATE whose reply was late would make the engine believe that
// nothing was moved.
//
// # Errors
//
// A reply may be an error ([ServerError]): the command arrived and was refused.
// An error of [Conn.Do] itself means that the outcome of every command without
// a reply is unknown.
package driver
