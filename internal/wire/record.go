package wire

// Record is one record of a log, free of any client library. Slices may
// belong to the fetch they came in: whoever keeps them copies them.
type Record struct {
	Partition   int32
	LeaderEpoch int32
	Offset      int64
	Timestamp   int64 // the record's own timestamp, µs since the Unix epoch (Kafka keeps ms)
	Key, Value  []byte
	Headers     []Header
}

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Header returns the value of the last header with that key, or nil.
func (r *Record) Header(key string) []byte {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == key {
			return r.Headers[i].Value
		}
	}
	return nil
}
