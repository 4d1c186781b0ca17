// The disclosure rule: which batches' blobs must stand in public, computable from the log alone.
//
// A kit's owner chose a bucket, at pairing or by a request since: none, each batch, hour or day of
// the time received (UTC). The last batch of a meter in a bucket is due once a later bucket has a batch of that
// meter: its cumulative counters make the whole bucket exact. Due and absent is **missing**; any
// other absent batch is **withheld**, as the owner wished. Enrolments, both sides of an
// equivocation, and a batch that names its meter's next key are always due: without its signature
// the next key could be of the ledger's own making. Where the choice changes between two batches, the
// first is due only if both choices make it so. What is asked later stands in fate.ts. Pure.

/** As in an enrolment: payload member 5. */
export const PUBLISH = { none: 0, batch: 1, hour: 2, day: 3 } as const;
export type Publish = (typeof PUBLISH)[keyof typeof PUBLISH];

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** A batch entry as the rule sees it. */
export interface PublishedBatch {
  /** Entry index in the log. */
  index: number;
  receivedMs: number;
  namesKey: boolean;
  /** As chosen when it was received. */
  publish: Publish;
}

export type Chosen = Omit<PublishedBatch, 'namesKey'>;

/**
 * True if the arrival of `next` makes `batch`, the same meter's batch before it, due.
 * The ingest asks this of each new batch, the audit of each pair.
 */
export function closesBucket(batch: Chosen, next: Chosen): boolean {
  return [batch.publish, next.publish].every((publish) =>
    bucket(publish, batch) !== bucket(publish, next));
}

/** Whether a batch is due, `next` being the same meter's next one; null: there is none yet. */
export function isDue(batch: PublishedBatch, next: Chosen | null): boolean {
  return batch.namesKey || (next !== null && closesBucket(batch, next));
}

function bucket(publish: Publish, { index, receivedMs }: Chosen): number {
  if (publish === PUBLISH.none) return 0;
  if (publish === PUBLISH.batch) return index;
  return Math.floor(receivedMs / (publish === PUBLISH.hour ? HOUR_MS : DAY_MS));
}
