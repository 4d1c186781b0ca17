// An audit's months: the same projections as the server's, grown in memory from what the audit has
// verified, and from nothing else. An entry that does not hold adds nothing. What owners withhold
// counts as unknown time here as there.

import { DatabaseSync } from 'node:sqlite';
import { majorUnits } from '../currency.ts';
import { currencyOf, priceDocument } from '../ask/documents.ts';
import { openLedgerBook } from '../ask/months.ts';
import type { MonthOf } from '../ask/months.ts';
import { applyEntry, createProjections, passEntry, showHeld } from '../ask/project.ts';
import type { Applied } from '../ask/project.ts';
import { createReader } from '../ask/read.ts';
import type { Bill } from '../ask/account.ts';

/** A month as it stands in the report; amounts are texts, in units of the currency. */
export type MonthReport = Omit<Bill, 'costMinor' | 'lateMinor'> & {
  month: string;
  startS: number;
  endS: number;
  zone: string;
  /** The entry that closed it, or null. */
  closedBy: number | null;
  costMinor: number | null;
  lateMinor: number;
  /** The same as money; null where nothing could be billed. */
  cost: string | null;
  lateCost: string | null;
};

export interface MonthsReport {
  /** Of the latest price. */
  zone: string;
  currency: string | null;
  prices: { entry: number; perKWh: string; validFrom: string; zone: string }[];
  /** All nodes together, oldest first. */
  all: (MonthReport & { nodes: number })[];
}

export interface MonthsAudit {
  grow(applied: Applied): void;
  /** An entry that does not hold; `receivedMs` as far as it is believed. */
  pass(index: number, receivedMs: number): void;
  /** Gives a batch that grew without its bytes what it then lacked, before a later one makes it due. */
  show(meter: string, index: number, blob: Uint8Array): void;
  /** Null for a log without an entry. */
  report(): MonthsReport | null;
  /** A node's months, oldest first, and when its last published record ends. */
  node(meter: string): { months: MonthReport[]; figuresUntilS: number | null };
  /** All of it, for {@link openMonths} to go on from. */
  save(): Uint8Array;
  close(): void;
}

const ALL = { limit: 1_000_000 };

/** Begins, or goes on from what was saved. */
export function openMonths(saved: Uint8Array | null): MonthsAudit {
  const db = new DatabaseSync(':memory:');
  if (saved === null) createProjections(db);
  else db.deserialize(saved);
  const reader = createReader(db);
  const book = openLedgerBook(db);
  // Nothing is to be durable: one transaction for all.
  db.exec('BEGIN');
  const reportOf = (month: MonthOf): MonthReport => monthReport(month, currencyOf(book.prices()));
  return {
    grow: (applied) => applyEntry(db, applied),
    pass: (index, receivedMs) => passEntry(db, index, receivedMs),
    show: (meter, index, blob) => showHeld(db, { meter, index, blob }),
    report() {
      const calendar = book.calendar();
      if (calendar === null) return null;
      const meters = reader.meters('', reader.countMeters());
      const months = book.months(meters, ALL).toReversed();
      return {
        zone: calendar.zone,
        currency: currencyOf(book.prices())?.currency ?? null,
        prices: book.prices().map((price) => ({
          entry: price.index, perKWh: String(priceDocument(price).per_kwh),
          validFrom: price.validFrom, zone: price.zone,
        })),
        all: months.map((month) => ({ ...reportOf(month), nodes: month.bill.nodes })),
      };
    },
    node(id) {
      const meter = reader.meter(id);
      if (meter === null) return { months: [], figuresUntilS: null };
      const figuresUntilS = reader.lastRecords(meter).at(-1)?.atS ?? null;
      return { months: book.monthsOf(meter, ALL).toReversed().map(reportOf), figuresUntilS };
    },
    save() {
      db.exec('COMMIT');
      const bytes = db.serialize();
      db.exec('BEGIN');
      return bytes;
    },
    close: () => db.close(),
  };
}

function monthReport(
  { bill, month, startS, endS, zone, closed }: MonthOf,
  money: { exponent: number } | null,
): MonthReport {
  const { wallS, upS, downS, unknownS, energyMicroWh, wanInBytes, wanOutBytes, late } = bill;
  const { costMinor, lateMinor } = bill;
  const amount = (minor: number): string | null => (
    costMinor === null || money === null ? null : majorUnits(minor, money.exponent)
  );
  return {
    month, startS, endS, zone, closedBy: closed?.index ?? null, wallS, upS, downS, unknownS,
    energyMicroWh, wanInBytes, wanOutBytes, late, costMinor, lateMinor,
    cost: amount(costMinor ?? 0), lateCost: amount(lateMinor),
  };
}
