// Closes months: at the first entry that comes three days after a month's end, every meter's bill
// is written down, once and for ever. Keeps the calendar and the prices that bills are made by.
// Runs inside the caller's transaction, before the entry itself is applied.

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { closeMonths, firstCalendar, inZone } from '../calendar.ts';
import type { Calendar, ClosedMonth } from '../calendar.ts';
import { holdsFrom } from '../tariff.ts';
import type { SetPrice } from '../tariff.ts';
import { billOf, settledBy } from './account.ts';
import type { Account, Bill } from './account.ts';
import { openLedgerBook } from './months.ts';
import { oncePer } from './once.ts';
import type { MeterRow } from './schema.ts';

/** Closes what an entry received now closes; the first entry of all begins the calendar. */
export function closeDueMonths(db: DatabaseSync, index: number, receivedMs: number): void {
  const sql = statementsOf(db);
  const book = openLedgerBook(db);
  const calendar = book.calendar() ?? firstCalendar(receivedMs);
  const { closed, calendar: next } = closeMonths(calendar, receivedMs);
  for (const month of closed) closeMonth(db, month, { index, receivedMs });
  if (closed.length > 0 || book.calendar() === null) putCalendar(sql, next);
}

/** Puts a price; open months end by its zone. */
export function setPrice(db: DatabaseSync, price: SetPrice): void {
  const sql = statementsOf(db);
  const calendar = openLedgerBook(db).calendar()!;
  const { index, receivedMs, currency, milliMinorPerKWh, validFrom, zone } = price;
  const fromS = holdsFrom(price, calendar);
  sql.putPrice.run(index, receivedMs, currency, milliMinorPerKWh, validFrom, zone, fromS);
  putCalendar(sql, inZone(calendar, zone));
}

function closeMonth(
  db: DatabaseSync, { month, startS, endS, zone }: ClosedMonth,
  { index, receivedMs }: { index: number; receivedMs: number },
): void {
  const sql = statementsOf(db);
  const book = openLedgerBook(db);
  const tariff = book.tariff();
  sql.putMonth.run(month, startS, endS, zone, index, receivedMs);
  for (const row of sql.meters.all()) {
    const meter = row as unknown as MeterRow;
    if (meter.lifeS >= endS) continue;
    const terms = { tariff, efficiencyPermille: meter.supplyEfficiencyPermille };
    const { curve, account } = book.openAccount(meter);
    const basis = { curve, terms };
    const { bill, told } = billOf(account, { startS, endS }, basis);
    putBill(sql, month, meter, bill);
    putAccount(sql, meter, { ...told, settled: settledBy(account, endS, basis) });
  }
}

function putCalendar(sql: Statements, { month, startS, zone, closesMs }: Calendar): void {
  sql.putCalendar.run(month, startS, zone, closesMs);
}

function putAccount(sql: Statements, { id }: MeterRow, { told, toldMinor, settled }: Account): void {
  sql.putAccount.run(
    id, JSON.stringify(told), toldMinor, settled?.atS ?? null,
    settled && JSON.stringify(settled.counters), settled && String(settled.weighed),
  );
}

function putBill(sql: Statements, month: string, { id }: MeterRow, bill: Bill): void {
  const { late } = bill;
  sql.putBill.run(
    month, id, bill.wallS, bill.upS, bill.downS, bill.energyMicroWh, bill.wanInBytes,
    bill.wanOutBytes, late.upS, late.downS, late.energyMicroWh, late.wanInBytes, late.wanOutBytes,
    bill.costMinor, bill.lateMinor,
  );
}

function prepareAll(db: DatabaseSync) {
  return {
    meters: db.prepare('SELECT * FROM meter ORDER BY id'),
    putCalendar: db.prepare(
      'UPDATE projection SET month = ?, startS = ?, zone = ?, closesMs = ?',
    ),
    putPrice: db.prepare(
      `INSERT INTO price (entryIndex, receivedMs, currency, milliMinorPerKWh, validFrom, zone, fromS)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    ),
    putMonth: db.prepare(
      `INSERT INTO month (month, startS, endS, zone, closedIndex, closedMs)
       VALUES (?, ?, ?, ?, ?, ?)`,
    ),
    putBill: db.prepare(
      `INSERT INTO bill (month, meterRow, wallS, upS, downS, energyMicroWh, wanInBytes, wanOutBytes,
         lateUpS, lateDownS, lateEnergyMicroWh, lateWanInBytes, lateWanOutBytes, costMinor,
         lateMinor) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    putAccount: db.prepare(
      `INSERT OR REPLACE INTO account (meterRow, told, toldMinor, settledS, settled, weighed)
       VALUES (?, ?, ?, ?, ?, ?)`,
    ),
  } satisfies Record<string, StatementSync>;
}

type Statements = ReturnType<typeof prepareAll>;

const statementsOf = oncePer(prepareAll);
