// Package rdb reads the RDB files of Redis and Valkey, and lets them be read as
// servers are: a File is a driver.Dialer.
//
// It finds where each key's value begins and ends, and does not look into it: the
// bytes of a value in a file are those that DUMP hands out and RESTORE takes, but
// for a version and a checksum behind them. So nothing is lost on the way, and a
// server that takes them must be of the version that wrote the file, or newer.
package rdb
