// Package goredis implements the driver port with go-redis. It is the only
// package that imports go-redis.
package goredis
