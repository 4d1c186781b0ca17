// What `npm run speed` prints: rows of times with their ratio to the first row's, and what was
// wanted, with a plain yes or no. Pure.

import type { Timed } from './measure.ts';

export interface Wanted {
  what: string;
  got: number;
  atMost: number;
  unit?: string;
}

/** Markdown, so that a run can be shown in docs/speed.md as it was printed. */
export function timesTable(title: string, rows: Timed[]): string {
  const [base] = rows;
  return table(
    [title, 'min s', 'median s', 'ratio', 'peak MB'],
    rows.map((row) => [
      row.name,
      row.minSeconds.toFixed(2),
      row.medianSeconds.toFixed(2),
      (row.medianSeconds / base.medianSeconds).toFixed(2),
      row.peakBytes === 0 ? '' : String(Math.round(row.peakBytes / 1e6)),
    ]),
  );
}

/** What, how much, and in which unit. */
export type Figure = [what: string, value: number, unit: string];

export function figuresTable(title: string, figures: Figure[]): string {
  return table([title, 'median', 'unit'], figures.map(([what, value, unit]) => [
    what, value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en'), unit,
  ]));
}

export function wantedTable(wanted: Wanted[]): string {
  return table(
    ['wanted', 'at most', 'got', 'met'],
    wanted.map((row) => [
      row.what,
      `${row.atMost}${row.unit ?? ''}`,
      `${shown(row)}${row.unit ?? ''}`,
      isMet(row) ? 'yes' : 'NO',
    ]),
  );
}

/** Judged as it is shown: nobody should read "1.00, at most 1: NO". */
export function isMet(row: Wanted): boolean {
  return Number(shown(row)) <= row.atMost;
}

function shown({ got, unit }: Wanted): string {
  return unit === undefined ? got.toFixed(2) : got.toFixed(0);
}

function table(head: string[], rows: string[][]): string {
  const all = [head, ...rows];
  const widths = head.map((_, at) => Math.max(...all.map((row) => row[at].length)));
  const padded = (cell: string, at: number) =>
    at === 0 ? cell.padEnd(widths[at]) : cell.padStart(widths[at]);
  const line = (row: string[]) => `| ${row.map(padded).join(' | ')} |`;
  const dashes = (width: number, at: number) =>
    at === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`;
  const rule = `|${widths.map(dashes).join('|')}|`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}
