package com.veltrix.bench.streams;

/** The names of members that are read often, so that none of them becomes a new String. */
final class JsonNames {
  private static final int SLOTS = 256;
  private static final String[] TABLE = new String[SLOTS];

  static {
    String names =
        "specversion id source type time partitionkey data metres clue points zone device"
            + " score walked steps sprints strolls moves bonus streak longest found last";
    for (String name : names.split(" ")) {
      TABLE[name.hashCode() & SLOTS - 1] = name; // one that another takes the place of is only slower
    }
  }

  private JsonNames() {}

  /** Returns the name that the bytes are, or null where it is none of these. */
  static String known(byte[] json, int start, int length) {
    int hash = 0; // as String computes it, for ASCII
    for (int i = start; i < start + length; i++) hash = 31 * hash + json[i];
    String name = TABLE[hash & SLOTS - 1];
    if (name == null || name.length() != length) return null;
    for (int i = 0; i < length; i++) {
      if (name.charAt(i) != json[start + i]) return null;
    }
    return name;
  }
}
