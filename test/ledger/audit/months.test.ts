// The page's figures are the audit's: over generated logs of several meters, prices, months, gaps,
// swaps, outages and late records, every figure that the served pages and /v1 tell of months and
// totals equals what an audit reckons from the public files alone, and what a model reckons from
// the meters' own records. So does a ledger whose projections were grown again.
//
//   SEED=… RUNS=200 npx ava test/ledger/audit/months.test.ts

import test from 'ava';
import fc from 'fast-check';
import { audit } from '../../../ledger/audit/audit.ts';
import type { MonthReport } from '../../../ledger/audit/months.ts';
import type { AuditReport } from '../../../ledger/audit/report.ts';
import { folderFiles } from '../../../ledger/audit/source.ts';
import { startOfDate } from '../../../ledger/calendar.ts';
import type { Ledger } from '../../../ledger/ledger.ts';
import { LIMITS } from '../../../ledger/limits.ts';
import { bytes, energy, monthName, percentInColumn } from '../../../ledger/page/format.ts';
import { moneyText } from '../../../ledger/page/money.ts';
import { ledgerRoutes } from '../../../ledger/routes.ts';
import {
  createClock, enrolMeter, openTestLedger, policyOf, temporaryDir, VOLUNTEER,
} from '../../helpers/ledger-folder.ts';
import { createMeter } from '../../helpers/meter.ts';
import { modelMonths } from '../../helpers/months-model.ts';
import type { ModelLog, ModelMeter, ModelRecord } from '../../helpers/months-model.ts';
import { priceBytes } from '../../helpers/price.ts';
import type { IntervalRecord } from '../../../firmware/wire.ts';

const DAY_S = 86_400;
/** A Saturday in Berlin’s winter; the logs reach into its summer. */
const BEGIN_S = Date.parse('2028-01-20T09:30:00Z') / 1000;

interface Batch {
  /** Days to its last record, from the one before. */
  days: number;
  records: number;
  /** Days on the way; batches of a meter arrive in order. */
  delayDays: number;
  milliW: number;
  /** Parts of the time: up, down, the rest is unknown. */
  reach: [number, number];
  /** Sequence numbers that the meter says it lost. */
  lost: number;
  /** Hours without power, before the first record; the meter then starts anew. */
  offHours: number;
}

interface Scene {
  zones: string[];
  currency: string;
  prices: { day: number; validAfterDays: number; milliMinor: number }[];
  meters: { afterDays: number; publish: 0 | 1 | 2 | 3; batches: Batch[] }[];
}

const batchOf = (mayPause: boolean): fc.Arbitrary<Batch> => fc.record({
  days: fc.double({ min: 0.02, max: 15, noNaN: true }),
  records: fc.integer({ min: 1, max: 4 }),
  delayDays: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 20, noNaN: true })),
  milliW: fc.integer({ min: 0, max: 20_000 }),
  reach: fc.tuple(fc.nat(10), fc.nat(10)),
  lost: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 9 }) }),
  offHours: mayPause ? fc.oneof(fc.constant(0), fc.nat(60)) : fc.constant(0),
});
const sceneOf = (mayPause: boolean): fc.Arbitrary<Scene> => fc.record({
  zones: fc.array(fc.constantFrom(
    'Europe/Berlin', 'Pacific/Kiritimati', 'Pacific/Niue', 'UTC', 'Asia/Kathmandu',
  ), { minLength: 1, maxLength: 3 }),
  currency: fc.constantFrom('EUR', 'JPY', 'KWD'),
  // Mostly one from the first days on, then some at any time, some of them set back.
  prices: fc.tuple(
    fc.record({
      day: fc.oneof({ weight: 5, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.nat(90) }),
      validAfterDays: fc.integer({ min: -2, max: 2 }),
      milliMinor: fc.integer({ min: 1_000, max: 90_000 }),
    }),
    fc.array(fc.record({
      day: fc.nat(100), validAfterDays: fc.integer({ min: -25, max: 40 }),
      milliMinor: fc.nat(90_000),
    }), { maxLength: 3 }),
  ).map(([first, others]) => [first, ...others]),
  meters: fc.array(fc.record({
    afterDays: fc.nat(60), publish: fc.constantFrom(0, 1, 1, 2, 3, 3) as fc.Arbitrary<0 | 1 | 2 | 3>,
    batches: fc.array(batchOf(mayPause), { minLength: 2, maxLength: 12 }),
  }), { minLength: 1, maxLength: 3 }),
});

/** Ten draws may hold nothing late: the second meter's January comes when it is closed. */
const LATE: Scene = {
  zones: ['Europe/Berlin'], currency: 'EUR',
  prices: [{ day: 0, validAfterDays: -1, milliMinor: 30_000 }],
  meters: [0, 20].map((delayDays) => ({
    afterDays: 0, publish: 1 as const,
    batches: Array.from({ length: 4 }, () => ({
      days: 14, records: 2, delayDays, milliW: 9_000, reach: [8, 1] as [number, number], lost: 0,
      offHours: 0,
    })),
  })),
};

interface Played {
  ledger: Ledger;
  clock: ReturnType<typeof createClock>;
  model: ModelLog;
  ids: string[];
  close(): Promise<void>;
}

/** Something that is posted to the ledger, and when. */
interface Event {
  atS: number;
  run(): Promise<void>;
}

async function play(scene: Scene): Promise<Played> {
  const { dir, remove } = temporaryDir();
  const clock = createClock(BEGIN_S * 1000);
  const ledger = await openTestLedger(dir, { clock });
  await ledger.admit(VOLUNTEER.publicKey);
  const model: ModelLog = { receivedMs: [clock.atMs], prices: [], meters: [] };
  const ids: string[] = [];
  const events = [
    ...scene.prices.map((_, i) => priceEvent(scene, i, { ledger, model, clock })),
    ...scene.meters.flatMap((_, i) => meterEvents(scene, i, { ledger, model, clock, ids })),
  ].sort((a, b) => a.atS - b.atS);
  for (const { atS, run } of events) {
    clock.atMs = atS * 1000;
    await run();
  }
  // What an audit calls now: totals are asked for at the same moment.
  clock.atMs = model.receivedMs.at(-1)!;
  return {
    ledger, clock, model, ids,
    async close() {
      await ledger.close();
      remove();
    },
  };
}

type Stage = Pick<Played, 'ledger' | 'model' | 'clock'>;

function priceEvent(scene: Scene, i: number, { ledger, model, clock }: Stage): Event {
  const { day, validAfterDays, milliMinor } = scene.prices[i];
  const atS = BEGIN_S + day * DAY_S + 1000 + i;
  const validFrom = new Date((atS + validAfterDays * DAY_S) * 1000).toISOString().slice(0, 10);
  const zone = scene.zones[i % scene.zones.length];
  return {
    atS,
    async run() {
      const options = { currency: scene.currency, milliMinorPerKWh: milliMinor, validFrom, zone };
      // Refused where that month is closed already: then it is no part of the log.
      const { calendarAt } = ledger.state();
      const { month, startS } = calendarAt(clock.atMs);
      if (validFrom < month) return;
      const { price } = await ledger.setPrice(priceBytes(VOLUNTEER, options));
      const fromS = Math.max(startS, startOfDate(validFrom, zone));
      if (price.index < model.receivedMs.length) return;
      model.receivedMs.push(clock.atMs);
      model.prices.push({ index: price.index, fromS, milliMinor, zone });
    },
  };
}

function meterEvents(
  scene: Scene, i: number, { ledger, model, clock, ids }: Stage & { ids: string[] },
): Event[] {
  const { afterDays, publish, batches } = scene.meters[i];
  const lifeS = BEGIN_S + afterDays * DAY_S + i;
  const meter = createMeter(`meter ${i}`);
  const known: ModelMeter = { lifeS, index: 0, permille: 850, records: [] };
  const events: Event[] = [{
    atS: lifeS,
    async run() {
      await enrolMeter(ledger, meter, { publish });
      known.index = model.receivedMs.push(clock.atMs) - 1;
      model.meters.push(known);
      ids.push(meter.idHex);
    },
  }];
  let last: IntervalRecord = { ...meter.records(1)[0], ...ZERO, unixS: lifeS };
  meter.skip(0);
  let [arrivedS, held]: [number, { records: ModelRecord[]; bucket: number } | null] = [lifeS, null];
  for (const batch of batches) {
    const { records, gaps } = recordsOf(last, batch);
    last = records.at(-1)!;
    arrivedS = Math.max(arrivedS + 2, last.unixS + Math.round(batch.delayDays * DAY_S));
    const receivedS = arrivedS;
    events.push({
      atS: receivedS,
      async run() {
        const { decision } = await ledger.submitBatch(meter.batch(records, { gaps }));
        if (decision.kind !== 'accepted') throw new Error(`${decision.kind}: ${JSON.stringify(decision)}`);
        const index = model.receivedMs.push(clock.atMs) - 1;
        const told = records.map((record): ModelRecord => ({ ...record, atS: record.unixS }));
        const sizeS = [Infinity, 1, 3600, DAY_S][publish];
        const bucket = publish === 1 ? index : Math.floor(receivedS / sizeS);
        // The batch before is known to be its bucket’s last; each batch is public at once, or not.
        if (publish === 1) known.records.push(...told.map((one) => ({ ...one, publicBy: index })));
        else if (publish !== 0 && held !== null && held.bucket !== bucket) {
          known.records.push(...held.records.map((one) => ({ ...one, publicBy: index })));
        }
        held = { records: told, bucket };
      },
    });
  }
  return events;
}

const ZERO = {
  firstSeq: 0, lastSeq: 0, uptimeS: 0, bootId: 1, energyMicroWh: 0, upS: 0, downS: 0, unknownS: 0, wanInBytes: 0,
  wanOutBytes: 0, probesMade: 0, probesAnswered: 0,
};

function recordsOf(
  before: IntervalRecord, { days, records: count, milliW, reach, lost, offHours }: Batch,
): { records: IntervalRecord[]; gaps: { firstSeq: number; lastSeq: number }[] } {
  const eachS = Math.max(1, Math.round((days * DAY_S) / count));
  const gaps = lost === 0 ? [] : [{ firstSeq: before.lastSeq + 1, lastSeq: before.lastSeq + lost }];
  let last = { ...before, lastSeq: before.lastSeq + lost, unixS: before.unixS + offHours * 3600 };
  if (offHours > 0) Object.assign(last, { bootId: before.bootId + 1, uptimeS: 0 });
  const share = Math.max(1, reach[0] + reach[1] + 1);
  const [upS, downS] = reach.map((part) => Math.floor((eachS * part) / share));
  const records = Array.from({ length: count }, () => {
    const seq = last.lastSeq + 1;
    last = {
      ...last, firstSeq: seq, lastSeq: seq, unixS: last.unixS + eachS, uptimeS: last.uptimeS + eachS,
      energyMicroWh: last.energyMicroWh + Math.round((milliW * eachS) / 3.6),
      upS: last.upS + upS, downS: last.downS + downS, unknownS: last.unknownS + eachS - upS - downS,
      wanInBytes: last.wanInBytes + milliW * 1000 + 7, wanOutBytes: last.wanOutBytes + milliW * 100 + 3,
      meanMilliW: milliW, minMilliW: milliW, maxMilliW: milliW, timeState: 2, flags: 0,
    };
    return last;
  });
  return { records, gaps };
}

/** All that the served answers say of a month, in the audit’s words. */
function asReport(month: any): Omit<MonthReport, 'wallS' | 'cost' | 'lateCost'> {
  const { measured, claimed, late } = month;
  return {
    month: month.month, startS: Date.parse(month.start) / 1000, endS: Date.parse(month.end) / 1000,
    zone: month.zone, closedBy: month.closed_index,
    upS: measured.up_s, downS: measured.down_s, unknownS: measured.unknown_s,
    energyMicroWh: measured.energy_micro_wh, wanInBytes: claimed.wan_in_bytes,
    wanOutBytes: claimed.wan_out_bytes,
    late: {
      upS: late.measured.up_s, downS: late.measured.down_s,
      energyMicroWh: late.measured.energy_micro_wh,
      wanInBytes: late.claimed.wan_in_bytes, wanOutBytes: late.claimed.wan_out_bytes,
    },
    costMinor: month.cost_minor, lateMinor: month.late_cost_minor,
  };
}

function withoutTexts(
  { wallS: _, cost: __, lateCost: ___, ...rest }: MonthReport,
): ReturnType<typeof asReport> {
  return rest;
}

/** The lines of the months’ table, as text. */
function tableOf(page: string): string[][] {
  const body = /<section class="months"[^]*?<tbody>([^]*?)<\/tbody>/.exec(page)?.[1] ?? '';
  return [...body.matchAll(/<tr>([^]*?)<\/tr>/g)].map(([, row]) =>
    [...row.matchAll(/<t[hd][^>]*>([^]*?)<\/t[hd]>/g)].map(([, cell]) => (
      cell.replaceAll(/<[^>]*>/g, ' ').replaceAll('&lt;', '<').replaceAll('&gt;', '>')
        .replaceAll(/\s+/g, ' ').trim()
    )));
}

function lineOf(month: MonthReport, currency: string | null): string[] {
  const { bill, late } = { bill: month, late: month.late };
  const extra = (value: number, say: (value: number) => string): string => (
    value === 0 ? '' : ` + ${say(value)} late`
  );
  const traffic = bill.wanInBytes === null ? null : bill.wanInBytes + bill.wanOutBytes!;
  const share = (seconds: number): string => (
    bill.wallS === 0 ? 'unknown' : percentInColumn(seconds / bill.wallS)
  );
  const cost = bill.costMinor === null || currency === null
    ? 'unknown'
    : moneyText(bill.costMinor, currency)
      + (bill.lateMinor === 0 ? '' : ` ${moneyText(bill.lateMinor, currency)} of it late`);
  return [
    monthName(month.month) + (month.closedBy === null ? ' open' : ''),
    ...(currency === null ? [] : [cost.replaceAll('\u00a0', ' ')]),
    energy(bill.energyMicroWh) + extra(late.energyMicroWh, energy),
    bill.upS + bill.downS === 0 ? 'unknown' : share(bill.upS), share(bill.unknownS),
    bytes(traffic) + extra(late.wanInBytes + late.wanOutBytes, bytes),
  ];
}

/** Holds all that the ledger serves against an audit of its public files. */
async function compare(
  t: { deepEqual(a: unknown, b: unknown, why?: string): void; is(a: unknown, b: unknown, why?: string): void },
  { ledger, ids }: Pick<Played, 'ledger' | 'ids'>,
): Promise<AuditReport> {
  const report = await audit(folderFiles(ledger.store.publicDir), { policy: policyOf(ledger) });
  t.deepEqual(report.findings, []);
  const app = ledgerRoutes(ledger, {
    limits: LIMITS, addressOf: () => 'one', nowMs: () => Date.now(),
    onProblem(error) { throw error; },
  });
  const text = async (path: string): Promise<string> => {
    const response = await app.request(`http://ledger.test${path}`);
    t.is(response.status, 200, path);
    return response.text();
  };
  const json = async (path: string): Promise<any> => JSON.parse(await text(path));
  const { all, currency, zone } = report.months!;
  const commons = await json('/v1/months?limit=120');
  t.is(commons.zone, zone);
  t.is(commons.currency, currency);
  t.deepEqual(commons.months.toReversed().map((month: any) => ({ ...asReport(month), nodes: month.nodes })),
    all.map(({ nodes, ...month }) => ({ ...withoutTexts(month), nodes })), 'the commons’ months');
  if (ids.length > 0) {
    t.deepEqual(tableOf(await text('/')), all.toReversed().slice(0, 13).map((one) => lineOf(one, currency)));
  }
  const metrics = await text('/metrics');
  for (const id of ids) {
    const node = report.nodes.find(({ meter }) => meter === id)!;
    const served = await json(`/v1/nodes/${id}/months?limit=120`);
    t.deepEqual(served.months.toReversed().map(asReport), node.months.map(withoutTexts), id);
    const page = tableOf(await text(`/node/${id}`));
    t.deepEqual(page, node.months.toReversed().slice(0, 13).map((one) => lineOf(one, currency)), id);
    const csv = (await text(`/v1/nodes/${id}/months.csv?limit=120`)).trimEnd().split('\r\n').slice(1);
    t.deepEqual(csv.toReversed().map((line) => line.split(',').slice(-2)),
      node.months.map(({ cost, lateCost }) => [cost ?? '', lateCost ?? '']));
    const sum = (value: (month: MonthReport) => number | null): number =>
      node.months.reduce((total, month) => total + (value(month) ?? 0), 0);
    const now = await json(`/v1/nodes/${id}`);
    t.is(sum((month) => month.energyMicroWh) + sum(({ late }) => late.energyMicroWh), now.measured.energy_micro_wh ?? 0);
    t.is(sum((month) => month.upS) + sum(({ late }) => late.upS), now.measured.up_s);
    t.is(sum((month) => month.downS) + sum(({ late }) => late.downS), now.measured.down_s);
    t.is(sum((month) => month.unknownS) - sum(({ late }) => late.upS + late.downS), now.measured.unknown_s);
    t.is(sum((month) => month.wanInBytes) + sum(({ late }) => late.wanInBytes), now.claimed.wan_in_bytes ?? 0);
    t.is(now.cost?.minor ?? 0, sum((month) => month.costMinor));
    const amount = new RegExp(`commons_node_cost\\{meter="${id}",currency="\\w*"\\} (\\S+)`).exec(metrics)?.[1];
    const exponent = now.cost?.exponent ?? 0;
    t.is(amount?.replace('.', '') ?? '0', String(now.cost?.minor ?? 0).padStart(amount ? exponent + 1 : 1, '0'));
    t.is(now.log.published_until, node.figuresUntilS === null ? null : isoOf(node.figuresUntilS));
    for (const month of node.months) {
      t.is(month.upS + month.downS + month.unknownS, month.wallS);
      for (const value of [month.energyMicroWh ?? 0, month.upS, month.unknownS]) t.is(Math.max(0, value), value);
    }
  }
  return report;
}

function isoOf(atS: number): string {
  return new Date(atS * 1000).toISOString().replace('.000Z', 'Z');
}

const SEED = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);

test('what is served is what an audit finds in the public files, and what the model reckons', async (t) => {
  t.timeout(240_000);
  t.log(`SEED=${SEED}`);
  const runs = { months: 0, late: 0, billed: 0 };
  await fc.assert(fc.asyncProperty(sceneOf(false), async (scene) => {
    const played = await play(scene);
    try {
      const report = await compare(t, played);
      for (const [i, id] of played.ids.entries()) {
        const node = report.nodes.find(({ meter }) => meter === id)!;
        const wanted = modelMonths(played.model, played.model.meters[i]);
        t.deepEqual(node.months.map((month) => ({
          month: month.month, closedBy: month.closedBy, energyMicroWh: month.energyMicroWh ?? 0,
          upS: month.upS, downS: month.downS, unknownS: month.unknownS,
          wanInBytes: month.wanInBytes ?? 0, wanOutBytes: month.wanOutBytes ?? 0,
          lateEnergyMicroWh: month.late.energyMicroWh,
          costMinor: month.costMinor ?? 0, lateMinor: month.lateMinor,
        })), wanted, id);
        runs.months += wanted.length;
        runs.late += wanted.filter((month) => month.lateEnergyMicroWh > 0).length;
        runs.billed += wanted.filter((month) => month.costMinor > 0).length;
      }
    } finally {
      await played.close();
    }
  }), {
    seed: SEED, endOnFailure: true, numRuns: Number(process.env['RUNS'] ?? 10), examples: [[LATE]],
  });
  t.log(`${runs.months} months, ${runs.billed} with a cost, ${runs.late} with something late`);
  t.true(runs.late > 0 && runs.billed > 0);
});

test('the same where meters lose power, and after the projections were grown again', async (t) => {
  t.timeout(240_000);
  t.log(`SEED=${SEED}`);
  await fc.assert(fc.asyncProperty(sceneOf(true), async (scene) => {
    const played = await play(scene);
    try {
      const report = await compare(t, played);
      const { dir } = played.ledger.store;
      await played.ledger.close();
      played.ledger = await openTestLedger(dir, { clock: played.clock, freshProjections: true });
      t.deepEqual(await compare(t, played), report);
    } finally {
      await played.ledger.close();
      await played.close().catch(() => {});
    }
  }), { seed: SEED, endOnFailure: true, numRuns: Number(process.env['RUNS'] ?? 5) });
});
