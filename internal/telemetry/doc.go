// Package telemetry is what an operator sees of a running process: its log, its
// metrics, its health and its profiles.
//
// Invariant: every metric is declared once, in Metrics, with its name, type,
// labels and help; docs/metrics.md is generated from those declarations. Labels
// take few values: never a participant, an event or a notification. The log
// shows no secret, whoever wrote the line.
package telemetry
