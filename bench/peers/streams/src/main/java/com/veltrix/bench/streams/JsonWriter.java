package com.veltrix.bench.streams;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.Arrays;
import java.util.List;

/** Writes one JSON object of numbers, texts and lists of texts, without spaces. */
final class JsonWriter {
  private static final byte[] HEX = "0123456789ABCDEF".getBytes(ISO_8859_1);
  private static final int ESCAPED_MAX = 6; // bytes of one character, or of a surrogate's half

  private byte[] json = new byte[512];
  private int at;
  private boolean first;

  void object() {
    room(1);
    json[at++] = '{';
    first = true;
  }

  void end() {
    room(1);
    json[at++] = '}';
  }

  void member(String name, long value) {
    name(name);
    number(value);
  }

  void member(String name, String value) {
    name(name);
    text(value);
  }

  void member(String name, List<String> values) {
    name(name);
    room(2);
    json[at++] = '[';
    for (int i = 0; i < values.size(); i++) {
      if (i > 0) {
        room(1);
        json[at++] = ',';
      }
      text(values.get(i));
    }
    room(1);
    json[at++] = ']';
  }

  byte[] bytes() {
    return Arrays.copyOf(json, at);
  }

  private void name(String name) {
    room(1);
    if (!first) json[at++] = ',';
    first = false;
    text(name);
    room(1);
    json[at++] = ':';
  }

  private void number(long value) {
    byte[] digits = Long.toString(value).getBytes(ISO_8859_1);
    room(digits.length);
    System.arraycopy(digits, 0, json, at, digits.length);
    at += digits.length;
  }

  private void text(String value) {
    room(2 + ESCAPED_MAX * value.length());
    json[at++] = '"';
    for (int i = 0; i < value.length(); i++) {
      char c = value.charAt(i);
      if (c >= 0x80) {
        wide(value, i);
        break;
      }
      ascii(c);
    }
    json[at++] = '"';
  }

  /** Writes the text from its first character that is not ASCII. */
  private void wide(String value, int from) {
    for (byte b : value.substring(from).getBytes(UTF_8)) {
      if (b < 0) json[at++] = b;
      else ascii((char) b);
    }
  }

  private void ascii(char c) {
    if (c >= ' ' && c != '"' && c != '\\') {
      json[at++] = (byte) c;
      return;
    }
    json[at++] = '\\';
    int which = "\"\\\b\f\n\r\t".indexOf(c);
    if (which >= 0) {
      json[at++] = (byte) "\"\\bfnrt".charAt(which);
      return;
    }
    json[at++] = 'u';
    json[at++] = '0';
    json[at++] = '0';
    json[at++] = HEX[c >> 4];
    json[at++] = HEX[c & 15];
  }

  private void room(int bytes) {
    if (json.length - at < bytes) json = Arrays.copyOf(json, Math.max(2 * json.length, at + bytes));
  }
}
