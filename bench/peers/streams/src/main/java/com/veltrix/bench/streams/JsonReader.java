package com.veltrix.bench.streams;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.ArrayList;
import java.util.List;

/**
 * Reads JSON from its start to its end. Whatever is not as the caller asks throws
 * IllegalArgumentException with the place.
 */
final class JsonReader {
  private static final int DIGITS_MAX = 18; // what surely fits a long
  private static final int DEPTH_MAX = 64;

  private final byte[] json;
  private int at;

  JsonReader(byte[] json) {
    this.json = json;
  }

  /** Begins an object, and returns the name of its first member, or null where there is none. */
  String object() {
    expect('{');
    if (peek() == '}') {
      at++;
      return null;
    }
    return name();
  }

  /** Returns the name of the object's next member, or null where it ends. */
  String member() {
    return next('}') ? name() : null;
  }

  private String name() {
    int start = text();
    int length = at - 1 - start;
    String known = JsonNames.known(json, start, length);
    String name = known != null ? known : decode(start, length);
    expect(':');
    return name;
  }

  List<String> strings() {
    List<String> all = new ArrayList<>();
    expect('[');
    if (peek() == ']') {
      at++;
      return all;
    }
    do {
      all.add(string());
    } while (next(']'));
    return all;
  }

  String string() {
    int start = text();
    return decode(start, at - 1 - start);
  }

  long number() {
    boolean negative = peek() == '-';
    if (negative) at++;
    int start = at;
    long n = 0;
    while (at < json.length && json[at] >= '0' && json[at] <= '9') {
      n = n * 10 + json[at++] - '0';
    }
    int digits = at - start;
    boolean whole = at >= json.length || (json[at] != '.' && json[at] != 'e' && json[at] != 'E');
    if (digits == 0 || digits > DIGITS_MAX || !whole || (digits > 1 && json[start] == '0')) {
      throw wrong("a whole number of at most " + DIGITS_MAX + " digits");
    }
    return negative ? -n : n;
  }

  /** Goes past one value of whatever kind. */
  void skip() {
    skip(0);
  }

  private void skip(int depth) {
    if (depth > DEPTH_MAX) throw wrong("at most " + DEPTH_MAX + " levels");
    switch (peek()) {
      case '"' -> text();
      case '{' -> {
        for (String name = object(); name != null; name = member()) skip(depth + 1);
      }
      case '[' -> {
        at++;
        if (peek() == ']') {
          at++;
          return;
        }
        do {
          skip(depth + 1);
        } while (next(']'));
      }
      default -> literal();
    }
  }

  private void literal() {
    int start = at;
    while (at < json.length && ",]} \t\r\n".indexOf(json[at]) < 0) at++;
    if (at == start) throw wrong("a value");
  }

  /** Says that nothing but space is left. */
  void finish() {
    space();
    if (at < json.length) throw wrong("the end");
  }

  /** Goes past a text and returns where it starts, behind its quotation mark. */
  private int text() {
    expect('"');
    int start = at;
    while (at < json.length && json[at] != '"') {
      at += json[at] == '\\' ? 2 : 1;
    }
    if (at >= json.length) throw wrong("a text's end");
    at++;
    return start;
  }

  private String decode(int start, int length) {
    for (int i = start; i < start + length; i++) {
      if (json[i] == '\\') return unescape(new String(json, start, length, UTF_8));
    }
    return new String(json, start, length, UTF_8);
  }

  private String unescape(String raw) {
    StringBuilder b = new StringBuilder(raw.length());
    for (int i = 0; i < raw.length(); i++) {
      char c = raw.charAt(i);
      if (c != '\\') {
        b.append(c);
        continue;
      }
      c = raw.charAt(++i);
      if (c == 'u') {
        if (i + 5 > raw.length()) throw wrong("four hexadecimal digits behind \\u");
        b.append((char) Integer.parseInt(raw, i + 1, i + 5, 16));
        i += 4;
        continue;
      }
      int which = "\"\\/bfnrt".indexOf(c);
      if (which < 0) throw wrong("an escape");
      b.append("\"\\/\b\f\n\r\t".charAt(which));
    }
    return b.toString();
  }

  /** Says whether another element follows, or the end that is given. */
  private boolean next(char end) {
    byte c = peek();
    if (c != ',' && c != end) throw wrong("',' or '" + end + "'");
    at++;
    return c == ',';
  }

  private void expect(char c) {
    if (peek() != c) throw wrong("'" + c + "'");
    at++;
  }

  private byte peek() {
    space();
    if (at >= json.length) throw wrong("more");
    return json[at];
  }

  private void space() {
    while (at < json.length && (json[at] == ' ' || json[at] == '\n' || json[at] == '\t' || json[at] == '\r')) at++;
  }

  private IllegalArgumentException wrong(String wanted) {
    return new IllegalArgumentException("at byte " + at + " of the JSON there is not " + wanted);
  }
}
