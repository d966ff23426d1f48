package com.veltrix.bench.streams;

import java.io.File;
import java.io.IOException;
import java.util.function.Supplier;
import org.newsclub.net.unix.AFUNIXSocket;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.JedisSocketFactory;
import redis.clients.jedis.exceptions.JedisConnectionException;

/** Where Redis is: host:port, or unix:///path. */
final class RedisAddress {
  private static final String UNIX = "unix://";
  private static final int TIMEOUT_MILLIS = 10_000;

  private RedisAddress() {}

  /** Returns what makes connections, of which each serves one thread. */
  static Supplier<Jedis> connections(String address) {
    if (address.startsWith(UNIX)) {
      File path = new File(address.substring(UNIX.length()));
      JedisSocketFactory sockets = () -> socket(path);
      return () -> new Jedis(sockets);
    }
    HostAndPort at = hostAndPort(address);
    DefaultJedisClientConfig config =
        DefaultJedisClientConfig.builder()
            .connectionTimeoutMillis(TIMEOUT_MILLIS)
            .socketTimeoutMillis(TIMEOUT_MILLIS)
            .build();
    return () -> new Jedis(at, config);
  }

  private static HostAndPort hostAndPort(String address) {
    try {
      return HostAndPort.from(address);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("--redis is host:port or unix:///path, not " + address, e);
    }
  }

  private static AFUNIXSocket socket(File path) {
    try {
      AFUNIXSocket socket = AFUNIXSocket.newInstance();
      socket.connect(AFUNIXSocketAddress.of(path), TIMEOUT_MILLIS);
      socket.setSoTimeout(TIMEOUT_MILLIS);
      return socket;
    } catch (IOException e) {
      throw new JedisConnectionException("connect to Redis at " + path, e);
    }
  }
}
