package com.veltrix.bench.streams;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** A real Redis on a socket in a directory, for the time of a test. */
final class RedisServer implements AutoCloseable {
  final String address;
  private final Process process;

  RedisServer(Path directory) throws IOException, InterruptedException {
    Path socket = directory.resolve("r.sock");
    address = "unix://" + socket;
    process =
        new ProcessBuilder("redis-server", "--port", "0", "--unixsocket", socket.toString(), "--save", "")
            .directory(directory.toFile())
            .redirectErrorStream(true)
            .redirectOutput(directory.resolve("log").toFile())
            .start();
    for (int tries = 0; !Files.exists(socket); tries++) {
      if (tries == 1_000 || !process.isAlive()) {
        process.destroyForcibly();
        throw new IOException("redis-server did not start: " + Files.readString(directory.resolve("log")));
      }
      Thread.sleep(10);
    }
  }

  @Override
  public void close() throws InterruptedException {
    process.destroy();
    if (!process.waitFor(10, TimeUnit.SECONDS)) process.destroyForcibly();
  }
}
