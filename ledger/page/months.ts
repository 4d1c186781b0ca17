// The months of a node, or of all: what was measured and claimed, and what it costs. A table, not a
// plot: it is read line by line, copied, and argued about.

import { html } from 'hono/html';
import type { Bill, Late } from '../ask/account.ts';
import type { LedgerBook, MonthOf } from '../ask/months.ts';
import type { PriceRow } from '../ask/schema.ts';
import { bytes, dateText, energy, monthName, percentInColumn, time, UNKNOWN } from './format.ts';
import type { Html } from './format.ts';
import { moneyText, priceText } from './money.ts';
import { sourceMark } from './layout.ts';
import type { Tile } from './tile.ts';

/** A year, and the month that is open. */
export const MONTHS_SHOWN = 13;
const PRICES_SHOWN = 4;

export interface MonthsOptions {
  /** Newest first. */
  months: MonthOf[];
  book: LedgerBook;
  /** Where the same stands as JSON; `.csv` behind it as CSV. */
  href: string;
}

/** Nothing at all before the log's first second has passed. */
export function monthsSection({ months, book, href }: MonthsOptions): Html | '' {
  if (months.length === 0) return '';
  const prices = book.prices();
  const currency = prices[0]?.currency;
  const heads = ['Month', ...(currency ? ['Cost'] : []), 'Energy', 'Up', 'Unknown', 'Traffic'];
  return html`<section class="months" aria-labelledby="months"><h2 id="months">Months</h2>
<div class="scroll" role="region" aria-label="Months as a table" tabindex="0"><table>
<thead><tr>${heads.map((head) => html`<th scope="col">${head}${markOf(head)}</th>`)}</tr></thead>
<tbody>${months.map((month) => monthLine(month, currency))}</tbody>
</table></div>
${priceList(prices)}
<p class="small">Months end at midnight in ${book.calendar()!.zone}, and close with the first log entry three
days later. A closed month stays as it is, unless batches are erased or disclosed: what comes for it
afterwards is told as late with the next open one, and billed there. Open months reach to the log’s newest entry, ${time(Math.floor(book.asOfMs()! / 1000))}.
The same as data: <a href="${href}">JSON</a>, <a href="${href}.csv">CSV</a>.</p>
</section>`;
}

/** This month’s cost so far, where there is a price. */
export function costTiles([newest]: MonthOf[], book: LedgerBook): Tile[] {
  const currency = book.prices()[0]?.currency;
  if (currency === undefined || newest === undefined || newest.bill.costMinor === null) return [];
  const { costMinor, lateMinor } = newest.bill;
  const late = lateMinor === 0 ? '' : `; ${moneyText(lateMinor, currency)} of it for earlier months`;
  return [{
    label: `Cost, ${monthName(newest.month)} so far`, value: moneyText(costMinor, currency),
    source: 'measured', note: `supplies’ losses included${late}`,
  }];
}

function markOf(head: string): Html | '' {
  if (head === 'Month' || head === 'Cost') return '';
  return html` ${sourceMark(head === 'Traffic' ? 'claimed' : 'measured')}`;
}

function monthLine({ month, closed, bill }: MonthOf, currency: string | undefined): Html {
  const { late } = bill;
  const state = closed === null ? html` <span class="small">open</span>` : '';
  return html`<tr><th scope="row">${monthName(month)}${state}</th>
${currency === undefined ? '' : html`<td>${costText(bill, currency)}</td>`}
<td>${energy(bill.energyMicroWh)}${lateNote(late.energyMicroWh, energy)}</td>
<td>${bill.upS + bill.downS === 0 ? UNKNOWN : shareText(bill.upS, bill.wallS)}</td>
<td>${shareText(bill.unknownS, bill.wallS)}</td>
<td>${bytes(trafficOf(bill))}${lateNote(late.wanInBytes + late.wanOutBytes, bytes)}</td></tr>`;
}

function shareText(seconds: number, wallS: number): string {
  return wallS === 0 ? UNKNOWN : percentInColumn(seconds / wallS);
}

function trafficOf({ wanInBytes, wanOutBytes }: Bill): number | null {
  return wanInBytes === null || wanOutBytes === null ? null : wanInBytes + wanOutBytes;
}

function lateNote(value: Late[keyof Late], say: (value: number) => string): Html | '' {
  return value === 0 ? '' : html` <span class="small">+ ${say(value)} late</span>`;
}

function costText({ costMinor, lateMinor }: Bill, currency: string): Html | string {
  if (costMinor === null) return UNKNOWN;
  const cost = moneyText(costMinor, currency);
  return lateMinor === 0
    ? cost
    : html`${cost} <span class="small">${moneyText(lateMinor, currency)} of it late</span>`;
}

function priceList(prices: PriceRow[]): Html {
  if (prices.length === 0) {
    return html`<p class="small">No price is set: what the energy costs is not known.</p>`;
  }
  const lines = prices.toReversed().slice(0, PRICES_SHOWN).map((price) => html`<li>From
${dateText(price.validFrom)} in ${price.zone}: ${priceText(price.milliMinorPerKWh, price.currency)} per kWh at
the wall, entry № ${price.index}</li>`);
  const more = prices.length <= PRICES_SHOWN
    ? ''
    : html`<li><a href="/v1/prices">All ${prices.length} prices</a></li>`;
  return html`<ul class="small prices">${lines}${more}</ul>`;
}
