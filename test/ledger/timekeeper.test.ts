// Clocks that jump: no entry is dated by one, no meter is told the time by one, and the ledger goes
// on when the clock is right again.

import test from 'ava';
import type { ExecutionContext } from 'ava';
import { decodeMac0, decodeReply } from '../../firmware/wire.ts';
import { decodeEntry } from '../../ledger/entry.ts';
import type { Ledger, LedgerOptions } from '../../ledger/ledger.ts';
import { LIMITS } from '../../ledger/limits.ts';
import { ledgerRoutes } from '../../ledger/routes.ts';
import { createTimekeeper, MOST_PAUSE_MS } from '../../ledger/timekeeper.ts';
import {
  auditLedger, createClock, enrolMeter, openTestLedger, temporaryDir,
} from '../helpers/ledger-folder.ts';
import { createMeter } from '../helpers/meter.ts';

const [MINUTE_MS, DAY_MS, YEAR_MS] = [60_000, 86_400_000, 365 * 86_400_000];
const START_MS = createClock().atMs;

/** A clock that a test sets, and the steady one beside it, which only runs. */
function twoClocks(): {
  clock: ReturnType<typeof createClock>; steadyMs: () => number; pass(ms: number): void;
} {
  const clock = createClock();
  let steadyAtMs = 0;
  return {
    clock,
    steadyMs: () => steadyAtMs,
    pass(ms) {
      clock.atMs += ms;
      steadyAtMs += ms;
    },
  };
}

test('a clock that runs is believed, however long nothing is asked of it', (t) => {
  const { clock, steadyMs, pass } = twoClocks();
  const { nowMs } = createTimekeeper(clock, { steadyMs });
  for (const ms of [0, 1, MINUTE_MS, 90 * DAY_MS, YEAR_MS]) {
    pass(ms);
    t.is(nowMs(START_MS), clock.atMs);
  }
});

test('put back: within five minutes it is used, beyond it is not, until it is right again', (t) => {
  const { clock, steadyMs, pass } = twoClocks();
  const { nowMs } = createTimekeeper(clock, { steadyMs });
  pass(10 * MINUTE_MS);
  nowMs(0);
  clock.atMs -= 5 * MINUTE_MS;
  t.is(nowMs(0), clock.atMs);
  clock.atMs -= 1;
  t.throws(() => nowMs(0), { code: 'clock-behind' });
  pass(1);
  t.is(nowMs(0), clock.atMs);
  t.throws(() => nowMs(clock.atMs + 5 * MINUTE_MS + 1), { code: 'clock-behind' });
});

test('put forward by more than a day while it runs it is not used, until it is right again', (t) => {
  const { clock, steadyMs, pass } = twoClocks();
  const { nowMs } = createTimekeeper(clock, { steadyMs });
  nowMs(0);
  clock.atMs += DAY_MS;
  t.is(nowMs(0), clock.atMs);
  pass(3 * DAY_MS);
  clock.atMs += DAY_MS + 1;
  t.throws(() => nowMs(0), { code: 'clock-leapt' });
  pass(9 * DAY_MS);
  t.throws(() => nowMs(0), { code: 'clock-leapt' });
  clock.atMs -= DAY_MS + 1;
  t.is(nowMs(0), clock.atMs);
});

test('a clock of a try-out runs faster, and the steady one with it', (t) => {
  const { clock, steadyMs, pass } = twoClocks();
  clock.rate = 1_000;
  const { nowMs } = createTimekeeper(clock, { steadyMs });
  nowMs(0);
  for (let s = 0; s < 1_000; s++) {
    pass(1_000);
    clock.atMs += 999_000;
    t.is(nowMs(0), clock.atMs);
  }
});

test('started more than a month after the last entry, it wants to be told', (t) => {
  const lastMs = START_MS - MOST_PAUSE_MS;
  const { clock, steadyMs } = twoClocks();
  t.is(createTimekeeper(clock, { steadyMs }).nowMs(lastMs), clock.atMs);
  const { nowMs } = createTimekeeper(clock, { steadyMs });
  t.throws(() => nowMs(lastMs - 1), { code: 'clock-leapt', message: /believed/ });
  t.is(createTimekeeper(clock, { steadyMs, afterPause: true }).nowMs(lastMs - 1), clock.atMs);
  t.is(createTimekeeper(clock, { steadyMs }).nowMs(0), clock.atMs, 'an empty log');
});

interface Scene {
  clock: ReturnType<typeof createClock>;
  steadyMs: () => number;
  ledger(): Ledger;
  restart(): Promise<void>;
  post(batch: Uint8Array): Promise<Response>;
  problems: unknown[];
}

async function onLedger(
  t: ExecutionContext,
  run: (scene: Scene) => Promise<void>,
  options: Partial<LedgerOptions> = {},
): Promise<void> {
  const { dir, remove } = temporaryDir();
  const { clock, steadyMs } = twoClocks();
  const problems: unknown[] = [];
  const onProblem = (error: unknown): void => void problems.push(error);
  const open = (): Promise<Ledger> =>
    openTestLedger(dir, { clock, steadyMs, onProblem, ...options });
  let ledger = await open();
  const post = async (batch: Uint8Array): Promise<Response> => {
    const deps = { limits: LIMITS, addressOf: () => 'test', onProblem, nowMs: () => 0 };
    const headers = { 'Content-Type': 'application/cose', 'Commons-Nonce': '00'.repeat(16) };
    const body = new Uint8Array(batch);
    return ledgerRoutes(ledger, deps).request('/v1/batches', { method: 'POST', headers, body });
  };
  const restart = async (): Promise<void> => {
    await ledger.close();
    ledger = await open();
  };
  await run({ clock, steadyMs, ledger: () => ledger, restart, post, problems });
  const entries = ledger.log().read(0, ledger.log().size()).map(decodeEntry);
  const times = entries.map(({ receivedMs }) => receivedMs);
  t.deepEqual(times, times.toSorted((a, b) => a - b));
  t.true(times.every((atMs) => Math.abs(atMs - START_MS) < 2 * DAY_MS), 'no entry of another year');
  t.true((await auditLedger(ledger)).ok);
  await ledger.close();
  remove();
}

async function timeTold(response: Response): Promise<number> {
  return decodeReply(decodeMac0(new Uint8Array(await response.arrayBuffer())).payload).unixS * 1000;
}

for (const [what, byMs] of [
  ['backwards by an hour', -60 * MINUTE_MS], ['backwards to 1970', -START_MS],
  ['forwards by years', 10 * YEAR_MS],
] as const) {
  test(`a clock that jumps ${what}: nothing is taken and no time told, across a restart too`, (t) =>
    onLedger(t, async ({ clock, ledger, restart, post, problems }) => {
    const meter = createMeter('alice');
    await enrolMeter(ledger(), meter);
    t.is(await timeTold(await post(meter.batch())), clock.atMs);
    const size = ledger().log().size();
    const batch = meter.batch();
    clock.atMs += byMs;
    for (const again of [false, true]) {
      if (again) await restart();
      problems.length = 0;
      const refused = await post(batch);
      t.is(refused.status, 503);
      // Untagged: a meter changes nothing but its back-off, its clock least of all.
      t.is(refused.headers.get('content-type'), 'application/problem+json');
      t.regex(String((await refused.json() as { type: string }).type), /clock-(behind|leapt)/);
      t.true(problems.length > 0, 'its operator hears of it');
      await t.throwsAsync(ledger().admit(new Uint8Array(32)), { message: /clock/ });
      t.throws(() => ledger().timeMs(), { message: /clock/ });
    }
    t.is(ledger().log().size(), size);
    clock.atMs -= byMs;
    const taken = await post(batch);
    t.is(taken.status, 200);
    t.is(await timeTold(taken), clock.atMs);
  }));
}

test('a clock that jumps while a batch is written: the batch stays, its time is not told', async (t) => {
  let jump = (): void => {};
  await onLedger(t, async ({ clock, ledger, post }) => {
    const meter = createMeter('alice');
    await enrolMeter(ledger(), meter);
    const batch = meter.batch();
    jump = () => {
      clock.atMs += 10 * YEAR_MS;
      jump = () => {};
    };
    t.is((await post(batch)).status, 503);
    t.is(ledger().log().size(), 3);
    clock.atMs -= 10 * YEAR_MS;
    const repeated = await post(batch);
    t.is(repeated.status, 200);
    t.is(await timeTold(repeated), clock.atMs);
    t.is(ledger().log().size(), 3);
  }, { onStep: () => jump() });
});

test('a clock that lags by seconds: entries keep the time of the one before', (t) =>
  onLedger(t, async ({ clock, ledger, post }) => {
  const meter = createMeter('alice');
  await enrolMeter(ledger(), meter);
  for (const byMs of [60_000, -59_000, -30_000, 5_000]) {
    clock.atMs += byMs;
    t.is((await post(meter.batch())).status, 200);
  }
}));
