// Package prompt asks the operator: on a terminal by survey, on piped input by
// reading lines, in tests by a script.
package prompt
