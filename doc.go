// Package veltrix is the root of a pipeline that counts every participant's
// event exactly once, in the order in which it happened, and tells the
// participant about it once.
//
// There is no code here: the commands are under cmd, the client of the gateway
// is under client, the parts are under internal, and ARCHITECTURE.md says how
// they fit. The tests of this package hold the tree to that picture: which part
// may know which, how long a file may grow, and what no file may say.
package veltrix
