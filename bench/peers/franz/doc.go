// Package franz is two peers on franz-go. One is exactly once in Kafka with its states
// in memory alone: the ceiling of what a Go program of this kind can do. The other is
// at least once with its states in Redis: what is most often run.
package franz
