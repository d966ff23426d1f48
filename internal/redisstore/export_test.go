package redisstore

// ApplySource is the script that moves a partition, for a test that sends it a
// request which no caller makes.
var ApplySource = applySource

// Watched returns the view with every move made under WATCH, however small.
func Watched(s *State) *State {
	s.watchedFrom = 0
	return s
}
