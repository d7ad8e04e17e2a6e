// Package chaos hurts trib while it works on real servers, with writers at
// work, and looks whether anything was lost.
//
// The tool under test is the test binary itself, started again as trib with a
// [Fuse] in its network connections: the fuse ends the process with SIGKILL at
// a chosen command, before it is sent, right after, or after its reply. Nothing
// in trib itself knows about it.
package chaos
