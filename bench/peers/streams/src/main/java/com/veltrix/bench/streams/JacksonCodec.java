package com.veltrix.bench.streams;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.UncheckedIOException;

/** JSON by Jackson's data binding, as most applications have it. */
final class JacksonCodec implements Codec {
  private final ObjectReader events;
  private final ObjectReader states;
  private final ObjectWriter writer;

  JacksonCodec(Rules rules) {
    JsonMapper mapper =
        JsonMapper.builder()
            .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .enable(JsonWriteFeature.COMBINE_UNICODE_SURROGATES_IN_UTF8)
            .build();
    events = mapper.readerFor(Event.class);
    states = mapper.readerFor(rules.type);
    writer = mapper.writer();
  }

  @Override
  public Event event(byte[] json) {
    return read(events, json);
  }

  @Override
  public State state(byte[] json) {
    return read(states, json);
  }

  private static <T> T read(ObjectReader reader, byte[] json) {
    try {
      return reader.readValue(json);
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException(e.getMessage(), e);
    } catch (IOException e) {
      throw new UncheckedIOException(e); // there is no reading but from memory
    }
  }

  @Override
  public byte[] json(State state) {
    return write(state);
  }

  @Override
  public byte[] json(Output output) {
    return write(output);
  }

  private byte[] write(Object value) {
    try {
      return writer.writeValueAsBytes(value);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e); // numbers and texts alone: all can be written
    }
  }
}
