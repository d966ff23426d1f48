package com.veltrix.bench.streams;

/** The benchmark's Kafka Streams peer. */
public final class Main {
  private Main() {}

  public static void main(String[] args) {
    int code = 0;
    try {
      run(Flags.parse(args));
    } catch (Exception e) {
      System.err.println("streams: " + (e.getMessage() == null ? e : e.getMessage()));
      code = 1;
    }
    System.exit(code);
  }

  private static void run(Flags flags) throws Exception {
    try (Application application = new Application(flags)) {
      Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(application), "stop"));
      application.run(System.out);
    }
  }

  /** What SIGTERM does; at an end of its own accord there is nothing left to do. */
  private static void stop(Application application) {
    try {
      application.close();
    } catch (Exception e) {
      System.err.println("streams: close: " + e.getMessage());
    }
  }
}
