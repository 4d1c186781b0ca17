// Answers "what did the month amount to, and what does it cost": closed months from the bills that
// were written down, open ones reckoned as if they closed with the log's newest entry. So the
// figures are the log's alone, whatever the time is: an audit of the same log says the same.

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { endOfMonth, nextMonth } from '../calendar.ts';
import type { Calendar } from '../calendar.ts';
import { tariffOf } from '../tariff.ts';
import type { Tariff } from '../tariff.ts';
import { billOf, openAccount } from './account.ts';
import type { Account, Bill, Curve } from './account.ts';
import { unpackRecords } from './block.ts';
import { openBook, prepareBook } from './book.ts';
import { riseBetween, rounded } from './curve.ts';
import type { Counters } from './curve.ts';
import { readTail } from './days.ts';
import { isLoose } from './place.ts';
import { oncePer } from './once.ts';
import { boundedSum } from './schema.ts';
import type { LogRow, MeterRow, MonthRow, PriceRow } from './schema.ts';

/** A month of one node, or of all. */
export interface MonthOf<B = Bill> {
  month: string;
  startS: number;
  /** Where the month ends, or for one that has not ended, the time of the log's newest entry. */
  endS: number;
  zone: string;
  /** The entry that closed it; null while it is open. */
  closed: { index: number; atMs: number } | null;
  bill: B;
}

/** Bills of all nodes together; `nodes` had an account in the month. */
export type CommonsBill = Bill & { nodes: number };

export interface Page {
  /** Months before this one; without it, from the newest. */
  before?: string;
  limit: number;
}

export interface LedgerBook {
  /** Null before the first entry. */
  calendar(): Calendar | null;
  /** When the log's newest entry was received. */
  asOfMs(): number | null;
  /** In the order of the log. */
  prices(): PriceRow[];
  tariff(): Tariff;
  openAccount(meter: MeterRow): { account: Account; curve: Curve };
  /** A node's months, newest first. */
  monthsOf(meter: MeterRow, page: Page): MonthOf[];
  /** All nodes' months, newest first. */
  months(meters: readonly MeterRow[], page: Page): MonthOf<CommonsBill>[];
  /** What a node's bills sum to, open months included; null where nothing could be billed. */
  costOf(meter: MeterRow): number | null;
  /** The newest month that the log reaches into; null before the first entry. */
  newestMonth(): string | null;
  /** All nodes' bills of one month, by meter id. */
  billsOf(meters: readonly MeterRow[], month: string): { meter: MeterRow; month: MonthOf }[];
}

export const openLedgerBook = oncePer(createLedgerBook);

function createLedgerBook(db: DatabaseSync): LedgerBook {
  const sql = prepareAll(db);
  const books = prepareBook(db);
  const log = (): LogRow => sql.log.get() as unknown as LogRow;
  const prices = (): PriceRow[] => sql.prices.all() as unknown as PriceRow[];
  const tariff = (): Tariff => tariffOf(prices());
  const calendar = (): Calendar | null => {
    const { month, startS, zone, closesMs } = log();
    return month === null ? null : { month, startS: startS!, zone: zone!, closesMs: closesMs! };
  };
  const account = (meter: MeterRow): { account: Account; curve: Curve } => {
    const row = sql.account.get(meter.id) as unknown as AccountRow | undefined;
    return { account: row ? accountOf(row) : openAccount(), curve: curveOf(db, books, meter) };
  };
  /** The months that are open, oldest first, as far as the log reaches. */
  const openMonths = (): Omit<MonthOf, 'bill'>[] => {
    const asOfS = Math.floor((log().asOfMs ?? 0) / 1000);
    const months: Omit<MonthOf, 'bill'>[] = [];
    let next = calendar();
    while (next !== null && next.startS < asOfS) {
      const { month, startS, zone } = next;
      const endS = endOfMonth(month, zone);
      months.push({ month, startS, endS: Math.min(endS, asOfS), zone, closed: null });
      next = { ...next, month: nextMonth(month), startS: endS };
    }
    return months;
  };
  /** The same for every node, until the next entry. */
  let now = { index: -1, open: [] as Omit<MonthOf, 'bill'>[], steps: [] as Tariff };
  const present = (): typeof now => {
    const index = log().nextIndex;
    if (now.index !== index) now = { index, open: openMonths(), steps: tariff() };
    return now;
  };
  const openBills = (meter: MeterRow, { open, steps } = present()): MonthOf[] => {
    let { account: told, curve } = account(meter);
    const terms = { tariff: steps, efficiencyPermille: meter.supplyEfficiencyPermille };
    return open.filter(({ endS }) => meter.lifeS < endS).map((month) => {
      const { bill, told: next } = billOf(told, month, { curve, terms });
      told = { ...told, ...next };
      return { ...month, bill };
    });
  };
  const closedBills = (meter: MeterRow, { before = LAST, limit }: Page): MonthOf[] =>
    (sql.bills.all(meter.id, before, limit) as unknown as (MonthRow & BillRow)[]).map(closedOf);
  const newest = (open: MonthOf[], { before = LAST }: Page): MonthOf[] =>
    open.toReversed().filter(({ month }) => month < before);

  return {
    calendar,
    asOfMs: () => log().asOfMs,
    prices,
    tariff,
    openAccount: account,
    monthsOf(meter, page) {
      const open = newest(openBills(meter), page);
      return [...open, ...closedBills(meter, page)].slice(0, page.limit);
    },
    months(meters, page) {
      const today = present();
      const each = meters.flatMap((meter) => openBills(meter, today));
      const sums = today.open.map((month): MonthOf<CommonsBill> => ({
        ...month, bill: sumOf(each.filter((one) => one.month === month.month)),
      }));
      const { before = LAST, limit } = page;
      const closed = (sql.sums.all(before, limit) as unknown as (MonthRow & SumRow)[])
        .map((row): MonthOf<CommonsBill> => (
          { ...closedOf(row), bill: { ...billIn(row), nodes: row.nodes } }
        ));
      const newestOpen = sums.toReversed().filter(({ month }) => month < before);
      return [...newestOpen, ...closed].slice(0, limit);
    },
    costOf(meter) {
      const { costMinor } = sql.cost.get(meter.id) as { costMinor: number | null };
      const open = openBills(meter).map(({ bill }) => bill.costMinor);
      return added([costMinor, ...open]);
    },
    newestMonth: () => present().open.at(-1)?.month ?? calendar()?.month ?? null,
    billsOf(meters, month) {
      const today = present();
      const isOpen = today.open.some((one) => one.month === month);
      return meters.flatMap((meter) => {
        const found = isOpen
          ? openBills(meter, today)
          : closedBills(meter, { before: nextMonth(month), limit: 1 });
        return found.filter((one) => one.month === month).map((one) => ({ meter, month: one }));
      });
    },
  };
}

/** Later than any month. */
const LAST = '9999-99';

interface AccountRow {
  told: string;
  toldMinor: number;
  settledS: number | null;
  settled: string | null;
  weighed: string | null;
}

function accountOf({ told, toldMinor, settledS, settled, weighed }: AccountRow): Account {
  return {
    told: JSON.parse(told) as Counters, toldMinor,
    settled: settledS === null
      ? null
      : { atS: settledS, counters: JSON.parse(settled!), weighed: BigInt(weighed!) },
  };
}

/** A meter's counters since its account began. */
function curveOf(db: DatabaseSync, books: ReturnType<typeof prepareBook>, meter: MeterRow): Curve {
  const book = openBook(books, meter);
  const { lifeS } = meter;
  const opening = book.countersAt(lifeS);
  return {
    lifeS,
    finalS: () => finalOf(db, meter),
    at: (atS) => riseBetween(opening, rounded(book.countersAt(atS))),
  };
}

/**
 * The second before the last record that has its place for good: a later one may still be set at
 * the same moment, should the meter's clock be set back, but never before it.
 */
function finalOf(db: DatabaseSync, meter: MeterRow): number | null {
  const last = meter.latest === null ? undefined : unpackRecords(meter.latest).at(-1);
  if (last === undefined) return null;
  const placed = isLoose(last) ? readTail(db, meter, last.bootId).before : last;
  return placed === null ? null : placed.atS - 1;
}

interface BillRow {
  wallS: number;
  upS: number;
  downS: number;
  energyMicroWh: number | null;
  wanInBytes: number | null;
  wanOutBytes: number | null;
  lateUpS: number;
  lateDownS: number;
  lateEnergyMicroWh: number;
  lateWanInBytes: number;
  lateWanOutBytes: number;
  costMinor: number | null;
  lateMinor: number;
}
type SumRow = BillRow & { nodes: number };

function closedOf(row: MonthRow & BillRow): MonthOf {
  const { month, startS, endS, zone, closedIndex: index, closedMs: atMs } = row;
  return { month, startS, endS, zone, closed: { index, atMs }, bill: billIn(row) };
}

function billIn(row: BillRow): Bill {
  const { wallS, upS, downS, energyMicroWh, wanInBytes, wanOutBytes, costMinor, lateMinor } = row;
  return {
    wallS, upS, downS, unknownS: wallS - upS - downS, energyMicroWh, wanInBytes, wanOutBytes,
    late: {
      upS: row.lateUpS, downS: row.lateDownS, energyMicroWh: row.lateEnergyMicroWh,
      wanInBytes: row.lateWanInBytes, wanOutBytes: row.lateWanOutBytes,
    },
    costMinor, lateMinor,
  };
}

function sumOf(months: readonly MonthOf[]): CommonsBill {
  const bills = months.map(({ bill }) => bill);
  const whole = (value: (bill: Bill) => number): number =>
    bills.reduce((sum, bill) => sum + value(bill), 0);
  const known = (value: (bill: Bill) => number | null): number | null => added(bills.map(value));
  return {
    nodes: bills.length,
    wallS: whole((bill) => bill.wallS),
    upS: whole((bill) => bill.upS),
    downS: whole((bill) => bill.downS),
    unknownS: whole((bill) => bill.unknownS),
    energyMicroWh: known((bill) => bill.energyMicroWh),
    wanInBytes: known((bill) => bill.wanInBytes),
    wanOutBytes: known((bill) => bill.wanOutBytes),
    late: {
      upS: whole(({ late }) => late.upS),
      downS: whole(({ late }) => late.downS),
      energyMicroWh: whole(({ late }) => late.energyMicroWh),
      wanInBytes: whole(({ late }) => late.wanInBytes),
      wanOutBytes: whole(({ late }) => late.wanOutBytes),
    },
    costMinor: known((bill) => bill.costMinor),
    lateMinor: whole((bill) => bill.lateMinor),
  };
}

/** Nulls add nothing; nothing but nulls is null. */
function added(parts: (number | null)[]): number | null {
  const known = parts.filter((part) => part !== null);
  return known.length === 0 ? null : known.reduce((sum, part) => sum + part, 0);
}

const WHOLE = [
  'wallS', 'upS', 'downS', 'lateUpS', 'lateDownS', 'lateEnergyMicroWh', 'lateWanInBytes',
  'lateWanOutBytes', 'lateMinor',
];
const NULLABLE = ['energyMicroWh', 'wanInBytes', 'wanOutBytes', 'costMinor'];

function prepareAll(db: DatabaseSync) {
  // `total` is as exact as `sum`, and does not fail beyond what an integer holds.
  const sumOf = (name: string): string => boundedSum(`total(${name})`);
  const sums = [
    ...WHOLE.map((name) => `${sumOf(name)} AS ${name}`),
    ...NULLABLE.map((name) => `CASE count(${name}) WHEN 0 THEN NULL ELSE ${sumOf(name)} END AS ${name}`),
  ];
  return {
    log: db.prepare('SELECT * FROM projection'),
    prices: db.prepare(
      `SELECT entryIndex AS "index", receivedMs, currency, milliMinorPerKWh, validFrom, zone, fromS
       FROM price ORDER BY entryIndex`,
    ),
    account: db.prepare('SELECT * FROM account WHERE meterRow = ?'),
    bills: db.prepare(
      `SELECT * FROM month JOIN bill USING (month) WHERE meterRow = ? AND month < ?
       ORDER BY month DESC LIMIT ?`,
    ),
    sums: db.prepare(
      `SELECT month.*, count(meterRow) AS nodes, ${sums.join(', ')}
       FROM (SELECT * FROM month WHERE month < ? ORDER BY month DESC LIMIT ?) AS month
       LEFT JOIN bill USING (month) GROUP BY month ORDER BY month DESC`,
    ),
    cost: db.prepare('SELECT sum(costMinor) AS costMinor FROM bill WHERE meterRow = ?'),
  } satisfies Record<string, StatementSync>;
}
