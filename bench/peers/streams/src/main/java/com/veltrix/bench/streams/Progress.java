package com.veltrix.bench.streams;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.LongAdder;

/** What the application's threads tell the one that waits for them. */
final class Progress {
  private final LongAdder processed = new LongAdder();
  private final LongAdder unwritten = new LongAdder();
  private final CountDownLatch running = new CountDownLatch(1);
  private final CountDownLatch first = new CountDownLatch(1);
  private final AtomicReference<Throwable> failure = new AtomicReference<>();

  void running() {
    running.countDown();
  }

  /** Counts a record; one of an aborted transaction counts again when it is read again. */
  void record() {
    processed.increment();
    first.countDown();
  }

  /** Counts states that Redis has yet to get, or, where n is negative, has got. */
  void unwritten(long n) {
    unwritten.add(n);
  }

  void failed(Throwable cause) {
    failure.compareAndSet(null, cause);
    running.countDown();
    first.countDown();
  }

  /** Says whether all threads run and the first record came, or something failed, within the time. */
  boolean ready(long seconds) throws InterruptedException {
    return running.await(seconds, TimeUnit.SECONDS) && first.await(seconds, TimeUnit.SECONDS);
  }

  long processed() {
    return processed.sum();
  }

  /** Whether Redis has all states. Only right once no record is being processed. */
  boolean written() {
    return unwritten.sum() == 0;
  }

  Throwable failure() {
    return failure.get();
  }
}
