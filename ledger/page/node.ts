// One node: how it is, what it did, what is missing, and where its figures stand in the log.

import { html } from 'hono/html';
import { PUBLISH_NAMES } from '../ask/documents.ts';
import { readMissing, readStatus } from '../ask/node.ts';
import type { Missing, NodeStatus } from '../ask/node.ts';
import type { Reader } from '../ask/read.ts';
import type { MeterRow } from '../ask/schema.ts';
import { readSeries, startOfLife } from '../ask/series.ts';
import { powerFigure, reachFigure, trafficFigure } from './figures.ts';
import { bytes, countOf, duration, energy, percent, time, timeAgo, UNKNOWN, watts } from './format.ts';
import type { Html } from './format.ts';
import { sourceMark } from './layout.ts';
import { defaultWindow, plotWindow, resolutionS, WINDOWS } from './scale.ts';
import type { WindowName } from './scale.ts';
import { stateMeaning, statePill, unreportedS, upShare } from './state.ts';

export interface NodeOptions {
  nowS: number;
  name: string;
  /** Which window the reader asked for, if any. */
  window: WindowName | null;
}

export function nodePage(reader: Reader, meter: MeterRow, options: NodeOptions): Html {
  const { nowS } = options;
  const lifeS = startOfLife(reader, meter);
  const intervalS = resolutionS(meter);
  const name = options.window ?? defaultWindow(nowS - lifeS, intervalS);
  const window = plotWindow(name, { nowS, lifeS, intervalS });
  const read = (step: number | 'month') => readSeries(reader, meter, { ...window, step, nowS });
  const status = readStatus(reader, meter, nowS);
  const [fine, coarse] = [read(window.fine), read(window.coarse)];
  return html`<div class="title"><h1>${options.name}</h1>${statePill(status)}</div>
<p class="lead">${stateMeaning(status.state)}${status.sinceS === null ? '' : html` Since ${timeAgo(status.sinceS, nowS)}.`}</p>
${nodeSums(status)}
<nav class="windows" aria-label="Time shown"><ul>${Object.entries(WINDOWS).map(([key, { text }]) =>
    html`<li><a href="?window=${key}"${key === name ? html` aria-current="true"` : ''}>${text}</a></li>`)}</ul></nav>
${fine.length === 0 ? html`<p>There is nothing to plot yet.</p>` : html`
${powerFigure(window, fine)}
${reachFigure(window, coarse)}
${trafficFigure(window, coarse)}`}
<div class="columns">
${missingSection(readMissing(reader, meter, nowS), meter, { nowS, lifeS, status })}
${ledgerSection(meter, status, nowS)}
</div>`;
}

function nodeSums(status: NodeStatus): Html {
  const { total } = status;
  const share = upShare(total, status);
  return html`<dl class="sums">
<div><dt>Power now</dt><dd>${watts(status.powerMilliW)}</dd><dd class="small">${sourceMark('measured')} mean of the latest record</dd></div>
<div><dt>Energy</dt><dd>${energy(total.energyMicroWh)}</dd><dd class="small">${sourceMark('measured')} since enrolment</dd></div>
<div><dt>Up</dt><dd>${share === null ? UNKNOWN : percent(share)}</dd><dd class="small">${sourceMark('measured')} down ${duration(total.downS)}, unknown ${duration(total.unknownS - unreportedS(total, status))}</dd></div>
<div><dt>Traffic</dt><dd>${bytes(total.wanInBytes === null ? null : total.wanInBytes + total.wanOutBytes!)}</dd><dd class="small">${sourceMark('claimed')} ${bytes(total.wanInBytes)} in, ${bytes(total.wanOutBytes)} out</dd></div>
<div><dt>Disk used</dt><dd>${bytes(status.diskUsedBytes)}</dd><dd class="small">${sourceMark('claimed')} in the latest record</dd></div>
</dl>`;
}

function missingSection(
  missing: Missing[], meter: MeterRow,
  { nowS, lifeS, status }: { nowS: number; lifeS: number; status: NodeStatus },
): Html {
  const items = missing.map((one) => missingItem(one, nowS));
  if (meter.missingBatches > 0) {
    items.unshift(html`<li><strong>Unpublished.</strong> ${countOf(meter.missingBatches, 'batch', 'batches')} that should stand in public could not be read.</li>`);
  }
  return html`<section aria-labelledby="missing"><h2 id="missing">What is missing</h2>
${items.length === 0
    ? html`<p>Nothing since the account began, ${time(lifeS)}.</p>`
    : html`<ul class="missing">${items}</ul>`}
${publishNote(meter, status)}
</section>`;
}

function missingItem({ kind, startS, endS, gap }: Missing, nowS: number): Html {
  const span = endS === null
    ? html`since ${timeAgo(startS, nowS)}`
    : html`${time(startS)} to ${time(endS)} (${duration(endS - startS)})`;
  if (kind === 'silence') {
    return html`<li><strong>Silence</strong> ${span}. Nothing has come; the time counts as unknown.</li>`;
  }
  if (kind === 'meter-off') {
    return html`<li><strong>No power at the meter</strong> ${span}. The time counts as unknown.</li>`;
  }
  return html`<li><strong>Records ${gap!.firstSeq} to ${gap!.lastSeq}</strong>, which the meter says it lost, ${span}. Their energy and traffic are in the sums.</li>`;
}

function publishNote(meter: MeterRow, status: NodeStatus): Html {
  const until = status.publishedUntilS === null ? '' : html` Figures reach to ${time(status.publishedUntilS)}.`;
  switch (PUBLISH_NAMES[meter.publish]) {
    case 'nothing': return html`<p class="small">The owner publishes no figures: the log only shows that batches came.</p>`;
    case 'batch': return html`<p class="small">The owner publishes every batch.${until}</p>`;
    case 'hour': return html`<p class="small">The owner publishes the last batch of each hour; sums are exact all the same.${until}</p>`;
    default: return html`<p class="small">The owner publishes the last batch of each day; sums are exact all the same.${until}</p>`;
  }
}

function ledgerSection(meter: MeterRow, status: NodeStatus, nowS: number): Html {
  const lastS = meter.lastReceivedMs === null ? null : Math.floor(meter.lastReceivedMs / 1000);
  return html`<section aria-labelledby="ledger"><h2 id="ledger">In the ledger</h2>
<dl class="facts">
<div><dt>Batches</dt><dd>${meter.batches.toLocaleString('en')}</dd></div>
<div><dt>Last acknowledged</dt><dd>${lastS === null ? 'never' : timeAgo(lastS, nowS)}</dd></div>
<div><dt>Its entry</dt><dd>${meter.lastIndex === null ? 'none' : html`№ ${meter.lastIndex}, to record ${meter.lastSeq}`}</dd></div>
<div><dt>Figures until</dt><dd>${status.publishedUntilS === null ? 'none' : time(status.publishedUntilS)}</dd></div>
<div><dt>Enrolled</dt><dd>№ ${meter.enrolledIndex}, ${time(Math.floor(meter.enrolledMs / 1000))}</dd></div>
<div><dt>Meter</dt><dd><code>${meter.meter}</code>, ${meter.assurance}</dd></div>
<div><dt>One record each</dt><dd>${duration(meter.intervalS)}</dd></div>
</dl>
<p class="small">The same as data: <a href="/v1/nodes/${meter.meter}">JSON</a>, <a href="/v1/nodes/${meter.meter}/records.csv">the last day’s records as CSV</a>. <a href="/audit">Check it yourself.</a></p>
</section>`;
}
