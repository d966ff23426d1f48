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

// HeaderOf returns a header. What every structured event has in common is the same
// memory for all of them: whoever reads many of them finds it near.
func HeaderOf(key string, value []byte) Header {
	if key == headerContentType {
		key = headerContentType
		if string(value) == contentTypeEvent {
			value = eventType
		}
	}
	return Header{Key: key, Value: value}
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
