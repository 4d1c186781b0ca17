// Months as the commons counts them: where each begins and ends in the campaign's time zone, and
// when the log closes it. Pure; the zones' rules are the runtime's (`process.versions.tz`), so that
// two runtimes agree as far as their tables do.
//
//     month   ├──── 2027-02 ────┼──── 2027-03 ────┤ three days │
//     log     ……e……e………e………e…e…………e……e……e……e…………e……e……………e…│…e  ← the entry that closes March
//
// A month ends where the next one begins, also when the zone was set anew between the two: then one
// month is longer or shorter by the zones' difference, and no second is lost or counted twice.

/** What comes later than this after a month's end is told with the next month that is open. */
export const CLOSES_AFTER_S = 3 * 86_400;

/** No honest log is later; an entry that says so closes no more months than these have. */
export const LATEST_MS = Date.UTC(2200, 0);

/** Until the first price names one. */
export const FIRST_ZONE = 'UTC';

/** `2027-03` */
export type Month = string;

/** The first month that is still open. */
export interface Calendar {
  month: Month;
  startS: number;
  /** Of the latest price in the log. */
  zone: string;
  /** An entry received then or later closes it. */
  closesMs: number;
}

export interface ClosedMonth {
  month: Month;
  startS: number;
  endS: number;
  zone: string;
}

/** The calendar of a log whose first entry was received at this time. */
export function firstCalendar(receivedMs: number): Calendar {
  const month = new Date(Math.min(receivedMs, LATEST_MS)).toISOString().slice(0, 'yyyy-mm'.length);
  return calendarOf(month, startOfMonth(month, FIRST_ZONE), FIRST_ZONE);
}

/** The months that an entry of this time closes, in order, and the calendar after them. */
export function closeMonths(
  calendar: Calendar, receivedMs: number,
): { closed: ClosedMonth[]; calendar: Calendar } {
  const closed: ClosedMonth[] = [];
  let now = calendar;
  while (Math.min(receivedMs, LATEST_MS) >= now.closesMs) {
    const { month, startS, zone } = now;
    const endS = endOfMonth(month, zone);
    closed.push({ month, startS, endS, zone });
    now = calendarOf(nextMonth(month), endS, zone);
  }
  return { closed, calendar: now };
}

/** The calendar once a price has named a zone: open months end by it, closed ones stay. */
export function inZone({ month, startS }: Calendar, zone: string): Calendar {
  return calendarOf(month, startS, zone);
}

/** Where a date begins in a zone: not always at midnight, which a clock set forward may skip. */
export function startOfDate(date: string, zone: string): number {
  return secondsOf(Temporal.PlainDate.from(date).toZonedDateTime(zone));
}

export function endOfMonth(month: Month, zone: string): number {
  return startOfMonth(nextMonth(month), zone);
}

export function nextMonth(month: Month): Month {
  return Temporal.PlainYearMonth.from(month).add({ months: 1 }).toString();
}

/** True for a date as ISO 8601 writes it, that the calendar has. */
export function isDate(text: string): boolean {
  try {
    return /^\d{4}-\d\d-\d\d$/.test(text) && Temporal.PlainDate.from(text).toString() === text;
  } catch {
    return false;
  }
}

/** True for a zone of the IANA's table, spelt as there; an offset such as +01:00 is none. */
export function isZone(text: string): boolean {
  try {
    return /^[A-Za-z]/.test(text)
      && new Temporal.ZonedDateTime(0n, text).timeZoneId === text;
  } catch {
    return false;
  }
}

function startOfMonth(month: Month, zone: string): number {
  return startOfDate(`${month}-01`, zone);
}

function calendarOf(month: Month, startS: number, zone: string): Calendar {
  return { month, startS, zone, closesMs: (endOfMonth(month, zone) + CLOSES_AFTER_S) * 1000 };
}

function secondsOf(at: Temporal.ZonedDateTime): number {
  return Math.floor(at.epochMilliseconds / 1000);
}
