package com.veltrix.bench.streams;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.ArrayList;
import java.util.List;

/** Events as internal/bench/workload.go writes them. */
final class Samples {
  static final int PARTICIPANTS = 3;

  private Samples() {}

  static String participant(int i) {
    return "player-0000" + i % PARTICIPANTS;
  }

  static byte[] walked(int i, int metres, String zone, String device) {
    return event(i, Event.WALKED, "{\"metres\":%d,\"zone\":\"%s\",\"device\":\"%s\"}".formatted(metres, zone, device));
  }

  static byte[] found(int i, String clue, int points, String zone, String device) {
    return event(
        i,
        Event.FOUND,
        "{\"clue\":\"%s\",\"points\":%d,\"zone\":\"%s\",\"device\":\"%s\"}".formatted(clue, points, zone, device));
  }

  static byte[] event(int i, String type, String data) {
    String all =
        "{\"specversion\":\"1.0\",\"id\":\"%d\",\"source\":\"/bench/game\",\"type\":\"%s\",\"time\":\"%s\","
            + "\"partitionkey\":\"%s\",\"data\":%s}";
    return all.formatted(100_000_000_000L + i, type, time(i), participant(i), data).getBytes(UTF_8);
  }

  static String time(int i) {
    return "2025-06-01T08:%02d:%02d.000000Z".formatted(i / 60, i % 60);
  }

  /** The first n events of a workload in which every tenth is a clue found. */
  static List<byte[]> workload(int n) {
    List<byte[]> all = new ArrayList<>();
    for (int i = 0; i < n; i++) {
      String zone = "harbour-" + i % 32;
      String device = "phone/17.4 app/2.9." + i % 8;
      all.add(
          i % 10 == 9
              ? found(i, "c-" + i / PARTICIPANTS % 40, 10 + i % 90, zone, device)
              : walked(i, 1 + i % 97, zone, device));
    }
    return all;
  }
}
