package kafkalog

// OutputLinger is outputLinger, for the tests outside.
const OutputLinger = outputLinger
