// The time of a simulated world. Whoever sleeps waits in a queue; when nobody runs, the earliest
// wakes and it is then. Exactly one fiber runs at a moment, handed on like a baton: the same world
// gives the same order, always, and a year passes as fast as its fibers compute.
//
// A fiber that waits for something outside of this world (a disk) keeps the baton: time stands
// still meanwhile. Never reads a real clock.

/** A meter's life between two power cuts: what sleeps in it never wakes once it is over. */
export interface Life {
  over: boolean;
}

interface Event {
  atMs: number;
  order: number;
  life: Life | undefined;
  /** Whether somebody runs now: an event that only changes the world does not. */
  happen: () => boolean;
}

export class Timeline {
  private now: number;
  private order = 0;
  private readonly heap: Event[] = [];
  private stop: (() => void) | undefined;
  private fail: ((error: unknown) => void) | undefined;

  constructor(startMs: number) {
    this.now = startMs;
  }

  nowMs(): number {
    return this.now;
  }

  /** Changes the world at a moment, between two turns of its fibers. */
  at(atMs: number, change: () => void): void {
    this.push(atMs, undefined, () => {
      change();
      return false;
    });
  }

  /** Starts a fiber as soon as the one that runs waits. */
  start(life: Life, work: () => Promise<void>): void {
    this.push(this.now, life, () => {
      work().then(() => this.turn(), this.fail);
      return true;
    });
  }

  /** For the fiber that runs; to be awaited at once. */
  sleep(ms: number, life: Life): Promise<void> {
    return new Promise((resolve) => {
      this.push(this.now + Math.max(0, ms), life, () => {
        resolve();
        return true;
      });
      this.turn();
    });
  }

  /** Lets those run who are due now. */
  pause(life: Life): Promise<void> {
    return this.heap.length > 0 && this.heap[0].atMs <= this.now
      ? this.sleep(0, life)
      : Promise.resolve();
  }

  /** The fiber that runs has lost its power in what it was doing, and never goes on. */
  abandon(): Promise<never> {
    this.turn();
    return new Promise(() => {});
  }

  /** Lets time pass until `untilMs`; rejects with what a fiber threw. */
  run(untilMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.fail = reject;
      this.at(untilMs, () => {
        this.stop = resolve;
      });
      this.turn();
    });
  }

  private turn(): void {
    try {
      for (;;) {
        if (this.stop !== undefined) {
          this.stop();
          this.stop = undefined;
          return;
        }
        const event = this.pop();
        if (event.life?.over) continue;
        this.now = event.atMs;
        if (event.happen()) return;
      }
    } catch (error) {
      this.fail?.(error);
    }
  }

  private push(atMs: number, life: Life | undefined, happen: () => boolean): void {
    const { heap } = this;
    const event = { atMs, order: this.order++, life, happen };
    let i = heap.length;
    heap.push(event);
    for (let up = (i - 1) >> 1; i > 0 && isBefore(event, heap[up]); up = (i - 1) >> 1) {
      heap[i] = heap[up];
      i = up;
    }
    heap[i] = event;
  }

  private pop(): Event {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined) throw new Error('nobody waits for anything');
    if (heap.length === 0) return first;
    let i = 0;
    for (let down = 1; down < heap.length; down = 2 * i + 1) {
      if (down + 1 < heap.length && isBefore(heap[down + 1], heap[down])) down++;
      if (!isBefore(heap[down], last)) break;
      heap[i] = heap[down];
      i = down;
    }
    heap[i] = last;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
