// `npm run speed -- ledger`: how many signed batches a second the ledger takes, beside what
// verifying their signatures alone and SQLite's own inserts allow, in one run; how long an ack
// waits at half that load; the audit; and questions to a thousand nodes with a year. docs/speed.md
// explains it.

import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { audit } from '../../ledger/audit/audit.ts';
import { folderFiles } from '../../ledger/audit/source.ts';
import { REAL_CLOCK } from '../../ledger/clock.ts';
import { openLedger } from '../../ledger/ledger.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { LIMITS } from '../../ledger/limits.ts';
import { parseBatch } from '../../ledger/verify/batch.ts';
import { createVerifiers } from '../../ledger/verifiers.ts';
import type { SignatureCheck, Verifiers } from '../../ledger/verifiers.ts';
import { enrolMeter, policyOf } from '../helpers/ledger-folder.ts';
import { createMeter } from '../helpers/meter.ts';
import type { TestMeter } from '../helpers/meter.ts';
import type { DrivesOptions } from './drives.ts';
import { measureQuestions } from './ledger-year.ts';
import { figuresTable, isMet, wantedTable } from './table.ts';
import type { Figure, Wanted } from './table.ts';

/** As many at once as a ledger lets in. */
const METERS = LIMITS.postsInWork;
/** One small key each: 31 batches of an hour's four records. */
const BATCHES = 31;
/** Batches that each meter has sent before the clock runs: the yardstick's code is compiled too. */
const WARM = 5;
const FAST = 18;
/** The owner's default: the last batch of each day. */
const PUBLISH_DAY = 3;

/** @returns whether everything wanted was met */
export async function measureLedger({ repeats, tell, print }: DrivesOptions): Promise<boolean> {
  const dir = mkdtempSync(join(tmpdir(), 'ledger-speed-'));
  const verifiers = createVerifiers(availableParallelism());
  try {
    tell(`Signing ${METERS * BATCHES} batches.`);
    const homes = Array.from({ length: METERS }, (_, i) => signedHome(`speed ${i}`));
    const runs: Run[] = [];
    for (let round = 1; round <= repeats; round++) {
      const run = await measureRound(join(dir, String(round)), { homes, verifiers });
      runs.push(run);
      const [taken, verified] = [run.ingest, run.verify].map(({ perS }) => perS.toFixed(0));
      tell(`  ${round} of ${repeats}: ${taken} of ${verified}/s`);
    }
    const median = (of: (run: Run) => number): number =>
      runs.map(of).sort((a, b) => a - b)[Math.floor(runs.length / 2)];
    print(figuresTable('ledger', ingestFigures(median)));
    tell('A thousand nodes, a year each.');
    const { figures, wanted } = await measureQuestions(join(dir, 'year'), tell);
    print(figuresTable('1,000 nodes × 1 year', figures));
    const all: Wanted[] = [
      {
        what: 'verification alone / ingest', atMost: 1.25,
        got: median(({ verify, ingest }) => verify.perS / ingest.perS),
      },
      { what: 'ack at half load, 99 in 100', atMost: 100, unit: ' ms', got: median((run) => run.ackMs) },
      ...wanted,
    ];
    print(wantedTable(all));
    return all.every(isMet);
  } finally {
    await verifiers.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

function ingestFigures(median: (of: (run: Run) => number) => number): Figure[] {
  return [
    ['signatures verified, nothing else', median(({ verify }) => verify.perS), 'batches/s'],
    ['batches taken: verified, durable, projected', median(({ ingest }) => ingest.perS), 'batches/s'],
    ['all cores, a signature verified', median(({ verify }) => verify.coresMs), 'ms'],
    ['all cores, a batch taken', median(({ ingest }) => ingest.coresMs), 'ms'],
    ['of it, the thread that answers', median(({ ingest }) => ingest.answeringMs), 'ms'],
    ['SQLite: as many rows, one synced commit each pool', median((run) => run.insertPerS), 'rows/s'],
    ['ack at half load, median', median((run) => run.ackMedianMs), 'ms'],
    ['ack at half load, 99 in 100', median((run) => run.ackMs), 'ms'],
    ['audit: signatures, links, tree', median((run) => run.auditPerS), 'entries/s'],
    ['memory after ingest, the test’s batches included', median((run) => run.memoryMb), 'MB'],
  ];
}

interface SignedHome {
  meter: TestMeter;
  batches: Uint8Array[];
}

function signedHome(name: string): SignedHome {
  const meter = createMeter(name, { startS: Math.floor(Date.now() / 1000) - 40 * 86_400 });
  return { meter, batches: Array.from({ length: BATCHES }, () => meter.batch()) };
}

/** How long a batch takes, by the clock and of processors. */
interface Pace {
  perS: number;
  coresMs: number;
  answeringMs: number;
}

interface Run {
  verify: Pace;
  ingest: Pace;
  insertPerS: number;
  ackMedianMs: number;
  ackMs: number;
  auditPerS: number;
  memoryMb: number;
}

async function measureRound(
  dir: string, { homes, verifiers }: { homes: SignedHome[]; verifiers: Verifiers },
): Promise<Run> {
  const checks = homes.flatMap(({ meter: { publicKey }, batches }) => batches.map((batch) => {
    const { message, signature } = parseBatch(batch);
    return { publicKey, message, signature };
  }));
  const ledger = await openLedger({ dir, clock: REAL_CLOCK, verify: verifiers.verify });
  for (const { meter } of homes) await enrolMeter(ledger, meter, { publish: PUBLISH_DAY });

  // The first time starts the threads and has their code compiled.
  await verifyAll(verifiers, checks);
  const verify = await verifyAll(verifiers, checks);
  const queues = (from: number, to: number): Uint8Array[][] =>
    homes.map(({ batches }) => batches.slice(from, to));
  await ingestAll(ledger, queues(0, WARM));
  const ingest = await ingestAll(ledger, queues(WARM, FAST));
  const memoryMb = process.memoryUsage().rss / 1e6;
  const insertPerS = insertAll(`${dir}.db`, homes.flatMap(({ batches }) => batches));
  const waits = await submitEvenly(ledger, queues(FAST, BATCHES), ingest.perS / 2);
  const startedMs = performance.now();
  const report = await audit(folderFiles(ledger.store.publicDir), { policy: policyOf(ledger) });
  if (!report.ok) throw new Error('the ledger that was measured fails its audit');
  const auditPerS = ledger.log().size() / secondsSince(startedMs);
  await ledger.close();
  const at = (share: number): number => waits[Math.floor(share * (waits.length - 1))];
  return {
    verify, ingest, insertPerS, ackMedianMs: at(0.5), ackMs: at(0.99), auditPerS, memoryMb,
  };
}

function verifyAll({ verify }: Verifiers, checks: SignatureCheck[]): Promise<Pace> {
  return paceOf(checks.length, async () => {
    const answers = await Promise.all(checks.map(verify));
    if (!answers.every(Boolean)) throw new Error('a signature of the test’s own does not verify');
  });
}

/** Each meter sends its next batch when the last one is acknowledged; all meters at once. */
function ingestAll(ledger: Ledger, queues: Uint8Array[][]): Promise<Pace> {
  return paceOf(queues.flat().length, async () => {
    await Promise.all(queues.map(async (batches) => {
      for (const batch of batches) await submit(ledger, batch);
    }));
  });
}

async function paceOf(count: number, work: () => Promise<void>): Promise<Pace> {
  const [startedMs, cores, answering] = [
    performance.now(), process.cpuUsage(), process.threadCpuUsage(),
  ];
  await work();
  const [coresMs, answeringMs] = [process.cpuUsage(cores), process.threadCpuUsage(answering)].map(
    ({ user, system }) => (user + system) / 1_000 / count);
  return { perS: count / secondsSince(startedMs), coresMs, answeringMs };
}

/** At an even pace, meter by meter; the milliseconds that each waited, rising. */
async function submitEvenly(
  ledger: Ledger, queues: Uint8Array[][], perS: number,
): Promise<number[]> {
  const rounds = queues[0].map((_, i) => queues.map((batches) => batches[i])).flat();
  const startedMs = performance.now();
  const waits = await Promise.all(rounds.map(async (batch, i) => {
    const dueMs = startedMs + (i / perS) * 1000;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, dueMs - performance.now())));
    await submit(ledger, batch);
    // From when it was due: a ledger that keeps the sender waiting is late too.
    return performance.now() - dueMs;
  }));
  return waits.sort((a, b) => a - b);
}

async function submit(ledger: Ledger, batch: Uint8Array): Promise<void> {
  const { decision: { kind } } = await ledger.submitBatch(batch);
  if (kind !== 'accepted') throw new Error(`a batch of the test’s own is ${kind}`);
}

/** What SQLite alone makes durable, as many rows a commit as a pool may hold. */
function insertAll(path: string, batches: Uint8Array[]): number {
  const db = new DatabaseSync(path);
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  db.exec('CREATE TABLE batch (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT');
  const insert = db.prepare('INSERT INTO batch (bytes) VALUES (?)');
  const startedMs = performance.now();
  for (let i = 0; i < batches.length; i += 256) {
    db.exec('BEGIN IMMEDIATE');
    for (const batch of batches.slice(i, i + 256)) insert.run(batch);
    db.exec('COMMIT');
  }
  const perS = batches.length / secondsSince(startedMs);
  db.close();
  return perS;
}

function secondsSince(startedMs: number): number {
  return (performance.now() - startedMs) / 1000;
}
