/** Events that wait to be sent, oldest first. */

/** One event that waits: the element as JSON. */
export type Item = Buffer;

/** The message id in an item's body. */
export function messageIdOf(item: Item): string | number {
  return (JSON.parse(item.toString()) as { message_id: string | number }).message_id;
}

/** The queue in memory, and what every queue does. The one in a file throws `QueueFault`. */
export class Queue {
  protected items: Item[] = [];
  protected first = 0;
  /** Bytes of the events that wait. */
  bytes = 0;
  /** Whether events are kept when the process ends. */
  readonly isLasting: boolean = false;

  /** How many events wait. */
  get length(): number {
    return this.items.length - this.first;
  }

  /** Keep one event; when this returns it is as safe as the queue makes it. */
  append(item: Item): void {
    this.items.push(item);
    this.bytes += item.length;
  }

  /** The oldest, at most so many. */
  head(events: number): Item[] {
    return this.items.slice(this.first, this.first + events);
  }

  /** Forget so many of the oldest. */
  remove(events: number): void {
    for (const item of this.head(events)) this.bytes -= item.length;
    this.first += events;
    // A shift of each element would make a long queue slow.
    if (this.first > 1000 && this.first > this.items.length / 2) {
      this.items = this.items.slice(this.first);
      this.first = 0;
    }
  }

  /** Let go of everything. */
  close(): void {}
}
