package devcluster

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const (
	batchAttributes = 21   // place in a record batch; its checksum covers everything from here
	codecBits       = 0x07 // of the attributes
)

// stampAppendTime makes the embedded broker honour LogAppendTime for the named
// topics. It knows the setting and ignores it, and where a producer sets the
// attribute itself, it stamps the batch and leaves the checksum of the old
// one. Without this an event's arrival would be its producer's clock.
//
// Every record of a batch gets the time of its append, as on a real broker;
// the attribute stays CreateTime, which readers do not look at.
func stampAppendTime(c *kfake.Cluster, topics []string, log *slog.Logger) {
	names, ids := map[string]bool{}, map[[16]byte]bool{}
	for _, topic := range topics {
		names[topic] = true
		if info := c.TopicInfo(topic); info != nil {
			ids[info.TopicID] = true
		}
	}
	decompress := kgo.DefaultDecompressor()
	c.ControlKey(kmsg.Produce.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		for _, t := range req.(*kmsg.ProduceRequest).Topics {
			if !names[t.Topic] && !ids[t.TopicID] {
				continue
			}
			for i := range t.Partitions {
				stamped, err := stampBatch(t.Partitions[i].Records, time.Now().UnixMilli(), decompress)
				if err != nil { // as it came, for the broker to refuse
					log.Warn("a batch cannot be stamped with its append time", "topic", t.Topic, "partition", t.Partitions[i].Partition, "err", err)
					continue
				}
				t.Partitions[i].Records = stamped
			}
		}
		return nil, nil, false // changed, not handled
	})
}

// stampBatch returns the batch with every record's time set to now, in ms.
func stampBatch(in []byte, now int64, decompress kgo.Decompressor) ([]byte, error) {
	var b kmsg.RecordBatch
	if err := b.ReadFrom(in); err != nil {
		return nil, fmt.Errorf("read the batch: %w", err)
	}
	if b.Magic != 2 || b.CRC != int32(crc32.Checksum(in[batchAttributes:], castagnoli)) {
		return nil, fmt.Errorf("format %d, or a wrong checksum", b.Magic)
	}
	codec := kgo.CompressionCodecType(b.Attributes & codecBits)
	plain := b.Records
	if codec != kgo.CodecNone {
		var err error
		if plain, err = decompress.Decompress(b.Records, codec); err != nil {
			return nil, fmt.Errorf("decompress the batch: %w", err)
		}
	}
	zeroed, changed, err := zeroTimeDeltas(plain)
	if err != nil {
		return nil, err
	}
	if changed {
		if b.Records, err = compress(zeroed, codec); err != nil {
			return nil, err
		}
	}
	b.FirstTimestamp, b.MaxTimestamp = now, now
	b.Attributes &^= 0x08 // LogAppendTime: only a broker may set it, and this one breaks the checksum
	out := b.AppendTo(nil)
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	binary.BigEndian.PutUint32(out[17:], crc32.Checksum(out[batchAttributes:], castagnoli))
	return out, nil
}

func compress(plain []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	codecs := map[kgo.CompressionCodecType]kgo.CompressionCodec{
		kgo.CodecGzip: kgo.GzipCompression(), kgo.CodecSnappy: kgo.SnappyCompression(), kgo.CodecLz4: kgo.Lz4Compression(), kgo.CodecZstd: kgo.ZstdCompression(),
	}
	c, ok := codecs[codec]
	if !ok {
		return plain, nil
	}
	compressor, err := kgo.DefaultCompressor(c)
	if err != nil {
		return nil, fmt.Errorf("compress the batch: %w", err)
	}
	out, got := compressor.Compress(new(bytes.Buffer), plain)
	if got != codec {
		return nil, fmt.Errorf("compress the batch: codec %d became %d", codec, got)
	}
	return out, nil
}

// zeroTimeDeltas rewrites records, each of which is: length (varint),
// attributes (a byte), time relative to the batch's (varint), the rest.
func zeroTimeDeltas(in []byte) (out []byte, changed bool, err error) {
	out = make([]byte, 0, len(in))
	for len(in) > 0 {
		length, n := binary.Varint(in)
		if n <= 0 || length < 2 || length > int64(len(in)-n) {
			return nil, false, fmt.Errorf("a record of length %d in a batch of %d bytes", length, len(in))
		}
		record := in[n : n+int(length)]
		in = in[n+int(length):]
		delta, m := binary.Varint(record[1:])
		if m <= 0 {
			return nil, false, fmt.Errorf("a record without a time")
		}
		changed = changed || delta != 0
		rest := record[1+m:]
		out = binary.AppendVarint(out, int64(2+len(rest)))
		out = append(out, record[0], 0)
		out = append(out, rest...)
	}
	return out, changed, nil
}
