package redisstore

// ApplySource is the script that moves a partition, for a test that sends it a
// request which no caller makes.
var ApplySource = applySource
