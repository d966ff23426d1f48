package com.veltrix.bench.streams;

import java.math.BigDecimal;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Locale;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What the application is asked to do. */
record Flags(
    String brokers,
    String events,
    String outputs,
    String group,
    String redis, // empty: no Redis
    String prefix,
    int clients,
    Duration commitInterval,
    long records,
    Rules rules,
    Parser parser,
    Store store,
    Guarantee guarantee,
    int cacheMiB) { // 0: no record cache

  enum Parser {
    JACKSON,
    HAND;

    Codec codec(Rules rules) {
      return this == JACKSON ? new JacksonCodec(rules) : new HandCodec(rules);
    }
  }

  enum Store {
    ROCKSDB,
    MEMORY
  }

  enum Guarantee {
    EOS,
    ALO
  }

  /**
   * --commit-records is for peers whose library can bound a transaction by its records. Kafka
   * Streams commits by time alone, so it is taken and has no effect.
   */
  private static final List<String> KNOWN =
      List.of(
          "brokers", "events", "outputs", "group", "redis", "prefix", "clients", "commit-records", "commit-interval",
          "records", "rules", "parser", "store", "guarantee", "cache");

  /** Throws IllegalArgumentException with what to write instead. */
  static Flags parse(String... args) {
    Map<String, String> given = pairs(args);
    if (needed(given, "outputs").equals(needed(given, "events"))) {
      throw new IllegalArgumentException("--outputs and --events are the same topic; give another for the outputs");
    }
    return new Flags(
        needed(given, "brokers"),
        needed(given, "events"),
        needed(given, "outputs"),
        needed(given, "group"),
        given.getOrDefault("redis", ""),
        given.getOrDefault("prefix", "bench"),
        (int) number(given, "clients", "1", 1, 256),
        duration(given.getOrDefault("commit-interval", "20ms")),
        number(given, "records", null, 1, Long.MAX_VALUE),
        choice(Rules.class, given, "rules", "core"),
        choice(Parser.class, given, "parser", "jackson"),
        choice(Store.class, given, "store", "rocksdb"),
        choice(Guarantee.class, given, "guarantee", "eos"),
        (int) number(given, "cache", "0", 0, 4096));
  }

  /** Takes --name value and --name=value. */
  private static Map<String, String> pairs(String[] args) {
    Map<String, String> given = new HashMap<>();
    Iterator<String> rest = List.of(args).iterator();
    while (rest.hasNext()) {
      String arg = rest.next();
      String[] parts = arg.replaceFirst("^--?", "").split("=", 2);
      if (!arg.startsWith("-") || !KNOWN.contains(parts[0])) {
        throw new IllegalArgumentException("there is no flag " + arg + "; there are --" + String.join(", --", KNOWN));
      }
      if (parts.length == 1 && !rest.hasNext()) throw new IllegalArgumentException(arg + " needs a value behind it");
      given.put(parts[0], parts.length == 2 ? parts[1] : rest.next());
    }
    return given;
  }

  private static String needed(Map<String, String> given, String name) {
    String value = given.getOrDefault(name, "");
    if (value.isEmpty()) throw new IllegalArgumentException("give --" + name);
    return value;
  }

  private static long number(Map<String, String> given, String name, String otherwise, long least, long most) {
    String value = otherwise == null ? needed(given, name) : given.getOrDefault(name, otherwise);
    try {
      long n = Long.parseLong(value);
      if (n >= least && n <= most) return n;
    } catch (NumberFormatException e) {
      // said below
    }
    throw new IllegalArgumentException(
        "--" + name + " is a whole number from " + least + " to " + most + ", not " + value);
  }

  private static <E extends Enum<E>> E choice(Class<E> type, Map<String, String> given, String name, String otherwise) {
    String value = given.getOrDefault(name, otherwise);
    for (E one : type.getEnumConstants()) {
      if (one.name().toLowerCase(Locale.ROOT).equals(value)) return one;
    }
    String all = Arrays.toString(type.getEnumConstants()).toLowerCase(Locale.ROOT);
    throw new IllegalArgumentException("--" + name + " is one of " + all + ", not " + value);
  }

  private static final Map<String, Long> MICROS =
      Map.of("us", 1L, "µs", 1L, "ms", 1_000L, "s", 1_000_000L, "m", 60_000_000L);
  private static final Pattern TERM = Pattern.compile("([0-9]+(?:\\.[0-9]+)?)(us|µs|ms|s|m)");

  /** Reads a duration as Go writes it: 20ms, 1.5s, 1m0s. */
  private static Duration duration(String text) {
    Matcher term = TERM.matcher(text);
    BigDecimal micros = BigDecimal.ZERO;
    int end = 0;
    while (term.find() && term.start() == end) {
      BigDecimal unit = BigDecimal.valueOf(MICROS.get(term.group(2)));
      micros = micros.add(new BigDecimal(term.group(1)).multiply(unit));
      end = term.end();
    }
    long millis = micros.longValue() / 1_000;
    if (end != text.length() || millis < 1) {
      throw new IllegalArgumentException("--commit-interval is 1ms or more, such as 20ms or 1s, not " + text);
    }
    return Duration.ofMillis(millis);
  }
}
