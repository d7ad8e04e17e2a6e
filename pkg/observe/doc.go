// Package observe gathers what the nodes of a cluster say into a
// [cluster.State]: all nodes at once, each within a deadline of its own, so
// that one silent node delays nobody and is named.
package observe
