package com.veltrix.bench.streams;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class FlagsTest {
  /** Flags with what has to be given, and more. */
  static Flags with(String... more) {
    List<String> all = new ArrayList<>(List.of("--brokers", "127.0.0.1:1", "--events=e", "--outputs", "o"));
    all.addAll(List.of("--group", "g", "--records", "9"));
    all.addAll(List.of(more));
    return Flags.parse(all.toArray(String[]::new));
  }

  @Test
  void defaults() {
    Flags want =
        new Flags(
            "127.0.0.1:1", "e", "o", "g", "", "bench", 1, Duration.ofMillis(20), 9,
            Rules.CORE, Flags.Parser.JACKSON, Flags.Store.ROCKSDB, Flags.Guarantee.EOS, 0);
    assertEquals(want, with());
  }

  @Test
  void all() {
    Flags want =
        new Flags(
            "127.0.0.1:1", "e", "o", "g", "unix:///tmp/r=1", "p", 4, Duration.ofMillis(61_500), 9,
            Rules.TEN, Flags.Parser.HAND, Flags.Store.MEMORY, Flags.Guarantee.ALO, 64);
    assertEquals(
        want,
        with(
            "--redis", "unix:///tmp/r=1", "--prefix=p", "--clients", "4", "--commit-interval", "1m1.5s",
            "--commit-records", "20000", "--rules", "ten", "--parser", "hand", "--store", "memory",
            "--guarantee", "alo", "--cache", "64"));
  }

  @ParameterizedTest
  @CsvSource({
    "--clients,0,--clients is a whole number from 1 to 256",
    "--records,many,--records is a whole number",
    "--rules,eleven,'--rules is one of [core, ten]'",
    "--parser,none,'--parser is one of [jackson, hand]'",
    "--commit-interval,20,--commit-interval is 1ms or more",
    "--commit-interval,10us,--commit-interval is 1ms or more",
    "--comit-interval,20ms,there is no flag --comit-interval",
    "clients,2,there is no flag clients",
    "--group,'',give --group",
    "--outputs,e,--outputs and --events are the same topic",
  })
  void refused(String name, String value, String why) {
    Exception refusal = assertThrows(IllegalArgumentException.class, () -> with(name, value));
    assertTrue(refusal.getMessage().startsWith(why), refusal.getMessage());
  }

  @Test
  void aNameWithoutItsValue() {
    Exception refusal = assertThrows(IllegalArgumentException.class, () -> with("--prefix"));
    assertEquals("--prefix needs a value behind it", refusal.getMessage());
  }
}
