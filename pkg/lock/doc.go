// Package lock lets one operator at a time change a cluster. The lock lives in
// the client names of connections that the operator holds to every master: it
// writes nothing into the key space, and ends with the process that holds it.
package lock
