// Package app wires the services out of their rooms: the same wiring serves the
// three binaries, `veltrix up` and the end-to-end tests. It decides nothing
// about events; it only joins what was decided elsewhere, and refuses to start
// what could not keep its promises.
package app
