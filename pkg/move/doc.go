// Package move moves slots with their keys from one master to another, under
// traffic, without losing a write.
package move
