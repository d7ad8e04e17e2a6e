// Package lint holds the house rules as tests: which package may import which,
// what the pure ones must not touch, what must be documented.
package lint
