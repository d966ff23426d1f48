package kafkalog

// NewTurns is newTurns, for the tests outside.
var NewTurns = newTurns
