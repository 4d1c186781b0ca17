// Quantities as people read them: units, three figures that matter, times in UTC. Pure; the
// optional page script turns the times into the reader's zone, nothing else does.

import { html } from 'hono/html';
import { isoOf } from '../ask/parameters.ts';

/** A piece of page, escaped. */
export type Html = ReturnType<typeof html>;

export const UNKNOWN = 'unknown';

/** mW as watts. */
export function watts(milliW: number | null): string {
  return milliW === null ? UNKNOWN : `${figures(milliW / 1000)} W`;
}

/** µWh as watt-hours or kilowatt-hours. */
export function energy(microWh: number | null): string {
  return microWh === null ? UNKNOWN : scaled(microWh / 1e6, ['Wh', 'kWh', 'MWh']);
}

/** Bytes in powers of a thousand. */
export function bytes(count: number | null): string {
  if (count === null) return UNKNOWN;
  return count < 1000 ? `${count} B` : scaled(count / 1000, ['kB', 'MB', 'GB', 'TB', 'PB']);
}

/** A share of 0 … 1; never rounded up to all, nor down to none. */
export function percent(share: number): string {
  if (share > 0.9999 && share < 1) return '> 99.99 %';
  if (share > 0 && share < 0.0001) return '< 0.01 %';
  return `${Number((share * 100).toFixed(2))} %`;
}

/** The same for a column, each with one decimal: 90.0 %. */
export function percentInColumn(share: number): string {
  if (share > 0.999 && share < 1) return '> 99.9 %';
  if (share > 0 && share < 0.001) return '< 0.1 %';
  return `${(share * 100).toFixed(1)} %`;
}

/** The two largest units of a time: 3 d 4 h. */
export function duration(seconds: number): string {
  const units: [number, string][] = [[86_400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const first = units.findIndex(([size]) => seconds >= size);
  if (first === -1) return '0 s';
  const [size, unit] = units[first];
  const whole = Math.floor(seconds / size);
  const next = units[first + 1];
  const rest = next === undefined ? 0 : Math.floor((seconds - whole * size) / next[0]);
  return rest === 0 ? `${whole} ${unit}` : `${whole} ${unit} ${rest} ${next[1]}`;
}

/** A moment: `<time>` in UTC. */
export function time(atS: number): Html {
  return html`<time datetime="${isoOf(atS)}">${utcText(atS)}</time>`;
}

/** A moment, and how long ago it was. */
export function timeAgo(atS: number, nowS: number): Html {
  return html`${time(atS)} <span class="ago">(${ago(atS, nowS)})</span>`;
}

export function ago(atS: number, nowS: number): string {
  return nowS - atS < 5 ? 'just now' : `${duration(nowS - atS)} ago`;
}

export function utcText(atS: number): string {
  const date = new Date(atS * 1000);
  return `${date.getUTCDate()} ${nameOfMonth(date)} ${date.getUTCFullYear()}, ${clockText(atS)} UTC`;
}

/** 09:30 */
export function clockText(atS: number): string {
  return new Date(atS * 1000).toISOString().slice(11, 16);
}

/** 2 Mar */
export function dayText(atS: number): string {
  const date = new Date(atS * 1000);
  return `${date.getUTCDate()} ${nameOfMonth(date)}`;
}

/** Mar 2027 */
export function monthText(atS: number): string {
  const date = new Date(atS * 1000);
  return `${nameOfMonth(date)} ${date.getUTCFullYear()}`;
}

/** 2027-03 as Mar 2027 */
export function monthName(month: string): string {
  return monthText(Date.parse(`${month}-01T00:00:00Z`) / 1000);
}

/** 2027-03-02 as 2 Mar 2027 */
export function dateText(date: string): string {
  const atS = Date.parse(`${date}T00:00:00Z`) / 1000;
  return `${dayText(atS)} ${date.slice(0, 4)}`;
}

/** 1 node, 2 nodes */
export function countOf(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}

/** Three figures that matter, without an exponent. */
export function figures(value: number): string {
  if (value === 0) return '0';
  if (Math.abs(value) < 0.001) return '< 0.001';
  const rounded = Number(value.toPrecision(3));
  const decimals = 2 - Math.floor(Math.log10(Math.abs(rounded)));
  return rounded.toFixed(Math.min(3, Math.max(0, decimals)));
}

function scaled(value: number, units: string[]): string {
  let [scaledValue, unit] = [value, 0];
  while (scaledValue >= 999.5 && unit < units.length - 1) {
    scaledValue /= 1000;
    unit++;
  }
  return `${figures(scaledValue)} ${units[unit]}`;
}

const MONTHS = [
  'Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec',
];

function nameOfMonth(date: Date): string {
  return MONTHS[date.getUTCMonth()];
}
