// Reads a request's query string, strictly: an unknown name, a repeated one, or a value that is not
// exactly of its kind is an error that says what was expected and what came. Pure.

import { LedgerError } from '../errors.ts';
import { countSpans, STEPS } from './steps.ts';
import type { Step } from './steps.ts';

/** A year of hours, and a few more: 3 MB of JSON. */
export const MAX_POINTS = 10_000;
/** A hundred days of 15-minute records: 2 MB of CSV, a tenth of a second of the ledger’s time. */
export const MAX_RECORDS = 10_000;
export const MAX_NODES = 100;
export const DEFAULT_NODES = 50;
/** Ten years; most ask for one. */
export const MAX_MONTHS = 120;
export const DEFAULT_MONTHS = 12;
const DAY_S = 86_400;

export interface SeriesQuery {
  fromS: number;
  toS: number;
  step: Step;
}

/** `from`, `to` (RFC 3339 in UTC, or a date) and `step`; by default the last day by the hour. */
export function parseSeriesQuery(query: URLSearchParams, nowS: number): SeriesQuery {
  allow(query, ['from', 'to', 'step']);
  const step = parseStep(query.get('step') ?? 'hour');
  const { fromS, toS } = parseWindow(query, nowS);
  if (step !== 'raw') checkCount('points', countSpans(fromS, toS, step), MAX_POINTS);
  return { fromS, toS, step };
}

/** `from` and `to` alone; by default the last day. */
export function parseRecordsQuery(
  query: URLSearchParams, nowS: number,
): { fromS: number; toS: number } {
  allow(query, ['from', 'to']);
  return parseWindow(query, nowS);
}

/** `after` (a meter's id) and `limit`. */
export function parseNodesQuery(query: URLSearchParams): { after: string; limit: number } {
  allow(query, ['after', 'limit']);
  const after = query.get('after') ?? '';
  if (after !== '') checkNodeId(after);
  return { after, limit: parseLimit(query, DEFAULT_NODES, MAX_NODES) };
}

/** `before` (a month) and `limit`. */
export function parseMonthsQuery(query: URLSearchParams): { before?: string; limit: number } {
  allow(query, ['before', 'limit']);
  const before = parseMonth('before', query);
  return { before, limit: parseLimit(query, DEFAULT_MONTHS, MAX_MONTHS) };
}

/** `month` alone; without it, whoever answers chooses. */
export function parseMonthQuery(query: URLSearchParams): { month?: string } {
  allow(query, ['month']);
  return { month: parseMonth('month', query) };
}

/** Refuses any parameter at all. */
export function parseNoQuery(query: URLSearchParams): void {
  allow(query, []);
}

/** A meter's id, as it stands in paths. */
export function checkNodeId(id: string): string {
  if (!/^[0-9a-f]{16}$/.test(id)) throw queryError('a meter’s id, 16 hex digits', id);
  return id;
}

/** Refuses what would make an answer larger than `most`. */
export function checkCount(what: string, count: number, most: number): void {
  if (count <= most) return;
  throw new LedgerError({
    code: 'too-much', message: 'The answer would be too large',
    expected: `at most ${most} ${what}`, got: `${count}`,
    hint: 'Ask for a shorter time, or in longer steps.',
  });
}

function parseLimit(query: URLSearchParams, unsaid: number, most: number): number {
  const text = query.get('limit') ?? String(unsaid);
  const limit = Number(text);
  if (/^[1-9][0-9]{0,2}$/.test(text) && limit <= most) return limit;
  throw queryError(`limit: a whole number from 1 to ${most}`, text);
}

function parseMonth(name: string, query: URLSearchParams): string | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (/^\d{4}-(0[1-9]|1[0-2])$/.test(text)) return text;
  throw queryError(`${name}: a month like 2027-03`, text);
}

function parseWindow(query: URLSearchParams, nowS: number): { fromS: number; toS: number } {
  const toS = parseMoment('to', query.get('to')) ?? nowS;
  const fromS = parseMoment('from', query.get('from')) ?? toS - DAY_S;
  if (fromS >= toS) {
    throw queryError('from before to', `from=${isoOf(fromS)} to=${isoOf(toS)}`);
  }
  return { fromS, toS };
}

function parseMoment(name: string, text: string | null): number | null {
  if (text === null) return null;
  const written = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d)?)Z)?$/.exec(text);
  const iso = written && `${written[1]}T${(written[2] ?? '00:00').padEnd(8, ':00')}.000Z`;
  const ms = iso === null ? NaN : Date.parse(iso);
  // Date.parse takes 31 February for 3 March: only what it writes back is a date.
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== iso) {
    throw queryError(`${name}: a UTC time like 2027-01-31 or 2027-01-31T18:00Z`, text);
  }
  return ms / 1000;
}

function parseStep(text: string): Step {
  const step = STEPS.find((known) => known === text);
  if (step === undefined) throw queryError(`step: one of ${STEPS.join(', ')}`, text);
  return step;
}

function allow(query: URLSearchParams, names: string[]): void {
  const expected = names.length === 0 ? 'no parameters' : `only ${names.join(', ')}, each once`;
  for (const name of query.keys()) {
    const once = query.getAll(name).length === 1;
    if (!names.includes(name) || !once) throw queryError(expected, once ? name : `${name} twice`);
  }
}

function queryError(expected: string, got: string): LedgerError {
  const parts = { code: 'malformed-query', message: 'The question was not understood' };
  return new LedgerError({ ...parts, expected, got: clip(got) });
}

function clip(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

/** RFC 3339 in UTC, to the second. */
export function isoOf(atS: number): string {
  return new Date(atS * 1000).toISOString().replace('.000Z', 'Z');
}
