// Package backup keeps the data of a cluster in a directory: an RDB file for each
// master, as its replicas would receive it, what every node said of itself, and
// a manifest with checksums of all.
//
// The manifest comes last. While a directory has none, or one that is called
// partial still, it is no backup, whatever else is in it.
package backup
