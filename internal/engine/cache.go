package engine

// entryOverhead estimates what a cached participant takes beside its state:
// the entry, its key and its place in the map.
const entryOverhead = 192

// entry is one participant, cached while its partition is owned. The overlay
// is the batch's private copy: an abort drops it, a commit makes it the state.
type entry struct {
	key        string
	partition  int32
	state      State // nil: known to have no value
	overlay    State // nil: not touched by the batch
	digest     uint64
	bytes      int
	touch      int   // its place in the run that touches it
	dirtyTo    int64 // a move up to here carries it; pinned until Redis acknowledged it
	newer, old *entry
}

// cache holds entries by partition and participant, bounded in bytes, with the
// least recently folded evicted first.
type cache struct {
	bytesMax int
	bytes    int
	entries  map[int32]map[string]*entry
	ring     entry // newer: the least recently used; old: the most recently used
}

func (c *cache) init(bytesMax int) {
	c.bytesMax, c.entries = bytesMax, make(map[int32]map[string]*entry)
	c.ring.newer, c.ring.old = &c.ring, &c.ring
}

func (c *cache) of(partition int32) map[string]*entry {
	m := c.entries[partition]
	if m == nil {
		m = make(map[string]*entry)
		c.entries[partition] = m
	}
	return m
}

// add puts a new entry into the cache; its run loads it or removes it.
func (c *cache) add(of map[string]*entry, partition int32, key string) *entry {
	e := &entry{key: key, partition: partition}
	of[e.key] = e
	c.resize(e, 0)
	c.link(e)
	return e
}

// resize accounts for a state that takes so many bytes.
func (c *cache) resize(e *entry, state int) {
	n := entryOverhead + len(e.key) + state
	c.bytes += n - e.bytes
	e.bytes = n
}

func (c *cache) link(e *entry) {
	e.old, e.newer = c.ring.old, &c.ring
	e.old.newer, c.ring.old = e, e
}

func (e *entry) unlink() { e.newer.old, e.old.newer = e.old, e.newer }

// touch makes e the most recently used.
func (c *cache) touch(e *entry) {
	e.unlink()
	c.link(e)
}

// drop forgets a partition.
func (c *cache) drop(partition int32) {
	for _, e := range c.entries[partition] {
		c.remove(e)
	}
	delete(c.entries, partition)
}

func (c *cache) remove(e *entry) {
	e.unlink()
	c.bytes -= e.bytes
	delete(c.entries[e.partition], e.key)
}

// evict frees memory down to the budget. What a run holds is pinned, and so is
// what Redis does not have yet: to load it again would give an older state.
func (m *Machine) evict() {
	if m.batch != nil && m.batch.phase != gathering {
		return
	}
	c := &m.cache
	for e := c.ring.newer; c.bytes > c.bytesMax && e != &c.ring; {
		next := e.newer
		if p := m.partitions[e.partition]; p.replay == nil && e.dirtyTo <= p.meta.Applied {
			c.remove(e)
			m.counts.Evicted++
		}
		e = next
	}
}
