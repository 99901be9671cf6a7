/** Time, in one place so that tests can replace it. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Seconds since some moment; never goes back. */
  monotonic(): number;
  /** Wait so many seconds. */
  sleep(seconds: number): Promise<void>;
}

export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now() / 1000,
  sleep: (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000)),
};
