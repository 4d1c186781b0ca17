// What happens to a kit in its life, in a few minutes: the meter loses its power in the middle of a
// write, the ledger is killed, the network goes, the node's plug is pulled. Before and after, what
// the ledger holds is reckoned against the chip's own integral and what the node really served.

import { setTimeout as delay } from 'node:timers/promises';
import { KitError } from '../errors.ts';
import type { TrialLedger } from './ledger.ts';
import type { TrialMeter } from './meter.ts';
import type { TrialNode } from './node.ts';
import { reckon, type Reckoning } from './reckoning.ts';
import type { Trial } from './trial.ts';
import { until } from './wait.ts';

export interface Survived {
  faults: string[];
  /** Without any cut since pairing or since the run began, and after all of them. */
  before: Reckoning;
  after: Reckoning;
}

interface Parts {
  node: TrialNode;
  ledger: TrialLedger;
  meter: TrialMeter;
}

/** How long an accepted batch may be in coming once everything is there: real time. */
const BATCH_LIMIT_MS = 180_000;
/** Long enough for several probes to run out of patience and some records to be closed: trial time. */
const OUTAGE_TRIAL_MS = 240_000;
/** Where in its stream of writes the meter's power goes: inside a record, a header, a counter. */
const CUTS_AFTER_BYTES = [1, 17, 61];

export async function survive(
  trial: Trial,
  parts: Parts,
  say: (text: string) => void,
): Promise<Survived> {
  say('letting batches flow');
  await batches(trial, parts, 2);
  const before = await reckon(trial, parts, say);
  await cutMeterPower(trial, parts, say);
  await killLedger(trial, parts, say);
  await cutNetwork(trial, parts, say);
  await parts.node.pullPlug(say);
  await seenUp(trial, parts, say);
  const after = await reckon(trial, parts, say);
  say('letting the node be seen as it is');
  await seenUp(trial, parts, () => undefined);
  const meterCuts = `meter's power cut ${CUTS_AFTER_BYTES.length} times in mid-write`;
  const faults = [meterCuts, 'ledger killed', 'network cut', "node's plug pulled"];
  return { faults, before, after };
}

/** Each cut at another byte; each time the meter must come back and be heard. */
async function cutMeterPower(
  trial: Trial,
  parts: Parts,
  say: (text: string) => void,
): Promise<void> {
  for (const bytes of CUTS_AFTER_BYTES) {
    say(`cutting the meter's power ${bytes} bytes into its next writes`);
    await parts.meter.cutAfter(bytes);
    parts.meter.powerOn();
    await heard(trial, parts.meter);
  }
}

async function killLedger(
  trial: Trial,
  { meter, ledger }: Parts,
  say: (text: string) => void,
): Promise<void> {
  say('killing the ledger while the meter reports');
  meter.press();
  await ledger.kill();
  await ledger.start();
  await heard(trial, meter);
}

async function cutNetwork(
  trial: Trial,
  { node, meter }: Parts,
  say: (text: string) => void,
): Promise<void> {
  say('cutting the network');
  const before = await meter.lastRecord();
  await node.home.setNodeCable(false);
  await node.home.setLedgerReach(false);
  await delay(OUTAGE_TRIAL_MS / trial.clock.rate, undefined, { signal: trial.signal });
  await node.home.setNodeCable(true);
  await node.home.setLedgerReach(true);
  say('waiting for what was measured without a network');
  const after = await until({
    what: 'the records of the outage',
    withinMs: BATCH_LIMIT_MS,
    everyMs: 2000,
    signal: trial.signal,
    async check() {
      const last = await meter.lastRecord();
      return last && last.downS > (before?.downS ?? 0) ? last : undefined;
    },
  });
  const outageS = after.downS - (before?.downS ?? 0);
  if (outageS >= OUTAGE_TRIAL_MS / 2000) return;
  throw new KitError({
    code: 'outage-not-seen',
    message: 'The meter did not see that its node was out of reach',
    expected: `about ${OUTAGE_TRIAL_MS / 1000} s down`,
    got: `${outageS} s`,
  });
}

/** What was reported before says that the node was up, too: only news counts. */
async function seenUp(
  trial: Trial,
  { meter }: Parts,
  say: (text: string) => void,
): Promise<void> {
  say('waiting for the ledger to see the node up again');
  const had = await meter.batches();
  await until({
    what: 'the ledger to see the node up again',
    withinMs: BATCH_LIMIT_MS,
    everyMs: 2000,
    signal: trial.signal,
    async check() {
      meter.press();
      // The first of two may still be of the time before.
      const news = (await meter.batches()) > had + 1;
      return (news && (await meter.state()) === 'up') || undefined;
    },
    instead: () => meter.lastWords(),
  });
}

/** Waits for batches in the meter's own time. */
async function batches(trial: Trial, { meter }: Parts, more: number): Promise<void> {
  const had = await meter.batches();
  await batchesAbove(trial, meter, { had: had + more - 1, ask: () => undefined });
}

/** Waits for one more batch, pressing the button: one that is pressed while the meter boots is lost. */
async function heard(trial: Trial, meter: TrialMeter): Promise<void> {
  await batchesAbove(trial, meter, { had: await meter.batches(), ask: meter.press });
}

async function batchesAbove(
  trial: Trial,
  meter: TrialMeter,
  { had, ask }: { had: number; ask: () => void },
): Promise<void> {
  await until({
    what: 'a batch to be accepted',
    withinMs: BATCH_LIMIT_MS,
    everyMs: 2000,
    signal: trial.signal,
    check: async () => (ask(), (await meter.batches()) > had || undefined),
    instead: () => `the meter's last words: ${meter.lastWords()}`,
  });
}
