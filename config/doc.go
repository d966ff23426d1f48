// Package config holds the one configuration that every Veltrix command reads.
//
// Invariant: a key is declared once, in the table of this package. Its type,
// unit, bounds, default, environment variable, flag, reference page and
// example all come from that declaration, so none of them can disagree.
//
// A value comes from the first place that gives one: flag, environment, file,
// default. Viper merges the four; this package is strict around it, because
// left alone viper would read `timeout: 5` as 5 ns, drop a mistyped key in
// silence, and turn 'false' and 0x10 into what nobody meant:
//
//   - every value travels as the text that was written, with its place, and is
//     parsed here, once, by the type of its field;
//   - unknown keys fail with the nearest known one and the line;
//   - numbers that measure time or size need a unit;
//   - all errors are reported at once: key, value, bound, and where from;
//   - secrets come from a *_file or the environment, never from the file or a
//     flag, and print as "redacted" everywhere.
//
// Two sources never mix inside a list: the higher one replaces it whole.
package config
