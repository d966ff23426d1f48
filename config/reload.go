package config

import (
	"errors"
	"maps"
	"reflect"
)

// Reload reads again what c was loaded from, checks all of it, and returns c with
// the live keys as they are there now. Taken are the keys that differ from c's;
// waiting are those that need a restart and are c's still. On an error, c stands
// as it is; where the file is wrong, that is an Errors with everything that is.
//
// What a command decided by itself (Override) stays.
func (c *Config) Reload() (next *Config, taken, waiting []Change, err error) {
	if c.again == nil {
		return nil, nil, nil, errors.New("this configuration was not loaded, and cannot be again")
	}
	loaded, err := c.again()
	if err != nil {
		return nil, nil, nil, err
	}
	copied := *c
	next = &copied
	next.origins, next.warnings = maps.Clone(c.origins), loaded.warnings
	for _, change := range Diff(c, loaded) {
		k := find(change.Key)
		switch kind := c.Origin(k.name).Kind; {
		case !readKinds[kind]:
		case !k.live:
			waiting = append(waiting, change)
		default:
			reflect.ValueOf(k.field(next)).Elem().Set(reflect.ValueOf(k.field(loaded)).Elem())
			next.origins[k.name] = loaded.Origin(k.name)
			taken = append(taken, change)
		}
	}
	// Live keys must fit those that wait, too.
	if problems := next.checkTogether(); len(problems) > 0 {
		return nil, nil, nil, problems
	}
	return next, taken, waiting, nil
}

// readKinds are the origins that Load gives.
var readKinds = map[string]bool{"default": true, "file": true, "env": true, "flag": true}
