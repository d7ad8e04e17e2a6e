// Package drivertest is the contract of package driver as tests: what the
// engine takes for granted about a connection, and about what servers answer
// when slots move. The same cases run on the simulator and on real servers, so
// that the engine may be tested on the one and used on the other.
//
// Servers differ in words and details between versions. The cases compare
// behaviour: what kind of answer it was, and what was true afterwards.
package drivertest
