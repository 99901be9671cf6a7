/** What the client tells its user about events: reports as they happen, and counts at any time. */

export type Kind =
  | "auth"
  | "conflict"
  | "disk"
  | "invalid"
  | "queue_full"
  | "redirect"
  | "rejected"
  | "retry"
  | "too_large"
  | "unsent";

/** One thing that went other than planned. `docs/clients.md` has a table of the kinds. */
export interface Report {
  readonly kind: Kind;
  readonly message: string;
  /** How many events it is about. */
  readonly count: number;
  readonly messageIds: readonly (string | number)[];
  /** HTTP status, where there was an answer. */
  readonly status?: number | undefined;
  /** The server's code of the refusal. */
  readonly code?: string | undefined;
  readonly field?: string | undefined;
  /** Seconds until the next attempt. */
  readonly retryIn?: number | undefined;
}

/** Events since the client was made. */
export interface Counts {
  readonly delivered: number;
  readonly queued: number;
  /** Never to be sent again; each was reported. */
  readonly dropped: number;
}
