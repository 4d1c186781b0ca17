// One node: how it is, what it did, what is missing, and where its figures stand in the log.

import { html } from 'hono/html';
import { PUBLISH_NAMES } from '../ask/documents.ts';
import type { LedgerBook } from '../ask/months.ts';
import { readMissing, readStatus } from '../ask/node.ts';
import type { Missing, NodeStatus } from '../ask/node.ts';
import type { Reader } from '../ask/read.ts';
import type { MeterRow } from '../ask/schema.ts';
import { readSeries } from '../ask/series.ts';
import { PUBLISH } from '../publish.ts';
import { powerFigure, reachFigure, trafficFigure } from './figures.ts';
import {
  bytes, countOf, duration, energy, percent, time, timeAgo, UNKNOWN, watts,
} from './format.ts';
import type { Html } from './format.ts';
import { costTiles, MONTHS_SHOWN, monthsSection } from './months.ts';
import { defaultWindow, plotWindow, resolutionS, WINDOWS } from './scale.ts';
import type { WindowName } from './scale.ts';
import { stateMeaning, statePill, unreportedS, upShare } from './state.ts';
import { fact, tiles } from './tile.ts';
import type { Tile } from './tile.ts';

export interface NodeOptions {
  nowS: number;
  name: string;
  /** Which window the reader asked for, if any. */
  window: WindowName | null;
  book: LedgerBook;
}

export function nodePage(reader: Reader, meter: MeterRow, options: NodeOptions): Html {
  const { nowS } = options;
  const lifeS = meter.lifeS;
  const intervalS = resolutionS(meter);
  const name = options.window ?? defaultWindow(nowS - lifeS, intervalS);
  const window = plotWindow(name, { nowS, lifeS, intervalS });
  const read = (step: number | 'month') => readSeries(reader, meter, { ...window, step, nowS });
  const status = readStatus(reader, meter, nowS);
  const [fine, coarse] = [read(window.fine), read(window.coarse)];
  const { book } = options;
  const months = book.monthsOf(meter, { limit: MONTHS_SHOWN });
  return html`<div class="title"><h1>${options.name}</h1>${statePill(status)}</div>
<p class="lead">${stateMeaning(status.state, meter.publish)}
${status.sinceS === null ? '' : html`Since ${timeAgo(status.sinceS, nowS)}.`}</p>
${nodeSums(status, costTiles(months, book))}
${fine.length === 0 || status.publishedUntilS === null ? nothingToPlot(meter) : html`
${windowLinks(name)}
${powerFigure(window, fine)}
${reachFigure(window, coarse)}
${trafficFigure(window, coarse)}`}
${monthsSection({ months, book, href: `/v1/nodes/${meter.meter}/months` })}
<div class="columns">
${missingSection(readMissing(reader, meter, nowS), meter, { nowS, lifeS, status })}
${ledgerSection(meter, status, nowS)}
</div>`;
}

function nodeSums(status: NodeStatus, cost: Tile[]): Html {
  const { total } = status;
  const share = upShare(total, status);
  const unknownS = total.unknownS - unreportedS(total, status);
  const [wanIn, wanOut] = [total.wanInBytes, total.wanOutBytes];
  return tiles([
    {
      label: 'Power now', value: watts(status.powerMilliW), source: 'measured',
      note: status.powerMilliW === null ? 'no recent record is public' : 'mean of the latest record',
    },
    {
      label: 'Energy', value: energy(total.energyMicroWh), source: 'measured',
      note: 'since enrolment',
    },
    {
      label: 'Up', value: share === null ? UNKNOWN : percent(share), source: 'measured',
      note: `down ${duration(total.downS)}, unknown ${duration(unknownS)}`,
    },
    {
      label: 'Traffic', source: 'claimed', note: `${bytes(wanIn)} in, ${bytes(wanOut)} out`,
      value: bytes(wanIn === null || wanOut === null ? null : wanIn + wanOut),
    },
    {
      label: 'Disk used', value: bytes(status.diskUsedBytes), source: 'claimed',
      note: 'in the latest record',
    },
    ...cost,
  ]);
}

function nothingToPlot({ publish }: MeterRow): Html {
  return publish === PUBLISH.none
    ? html`<p>There is nothing to plot: the owner publishes no figures.</p>`
    : html`<p>There is nothing to plot yet.</p>`;
}

function windowLinks(shown: WindowName): Html {
  const links = Object.entries(WINDOWS).map(([name, { text }]) => {
    const current = name === shown ? html` aria-current="true"` : '';
    return html`<li><a href="?window=${name}"${current}>${text}</a></li>`;
  });
  return html`<nav class="windows" aria-label="Time shown"><ul>${links}</ul></nav>`;
}

function missingSection(
  missing: Missing[], meter: MeterRow,
  { nowS, lifeS, status }: { nowS: number; lifeS: number; status: NodeStatus },
): Html {
  const items = missing.map((one) => missingItem(one, nowS));
  if (meter.missingBatches > 0) {
    const count = countOf(meter.missingBatches, 'batch', 'batches');
    items.unshift(html`<li><strong>Unpublished.</strong> ${count} that should stand in public
could not be read.</li>`);
  }
  const list = items.length === 0
    ? html`<p>Nothing since the account began, ${time(lifeS)}.</p>`
    : html`<ul class="missing">${items}</ul>`;
  const until = status.publishedUntilS;
  return html`<section aria-labelledby="missing"><h2 id="missing">What is missing</h2>
${list}
<p class="small">${PUBLICATION[PUBLISH_NAMES[meter.publish]]}
${until === null ? '' : html`Figures reach to ${time(until)}.`}</p>
</section>`;
}

const PUBLICATION: Record<(typeof PUBLISH_NAMES)[number], string> = {
  nothing: 'The owner publishes no figures: the log only shows that batches came.',
  batch: 'The owner publishes every batch.',
  hour: 'The owner publishes the last batch of each hour; sums are exact all the same.',
  day: 'The owner publishes the last batch of each day; sums are exact all the same.',
};

function missingItem({ kind, startS, endS, gap }: Missing, nowS: number): Html {
  const span = endS === null
    ? html`since ${timeAgo(startS, nowS)}`
    : html`${time(startS)} to ${time(endS)} (${duration(endS - startS)})`;
  if (kind === 'silence') {
    return html`<li><strong>Silence</strong> ${span}.
Nothing has come; the time counts as unknown.</li>`;
  }
  if (kind === 'meter-off') {
    return html`<li><strong>No power at the meter</strong> ${span}.
The time counts as unknown.</li>`;
  }
  return html`<li><strong>Records ${gap!.firstSeq} to ${gap!.lastSeq}</strong>,
which the meter says it lost, ${span}. Their energy and traffic are in the sums.</li>`;
}

function ledgerSection(meter: MeterRow, { publishedUntilS }: NodeStatus, nowS: number): Html {
  const { lastReceivedMs, lastIndex, meter: id } = meter;
  const acked = lastReceivedMs === null
    ? 'never'
    : timeAgo(Math.floor(lastReceivedMs / 1000), nowS);
  const entry = lastIndex === null ? 'none' : `№ ${lastIndex}, to record ${meter.lastSeq}`;
  const enrolled = time(Math.floor(meter.enrolledMs / 1000));
  return html`<section aria-labelledby="ledger"><h2 id="ledger">In the ledger</h2>
<dl class="facts">
${fact('Batches', meter.batches.toLocaleString('en'))}
${fact('Last acknowledged', acked)}
${fact('Its entry', entry)}
${fact('Figures until', publishedUntilS === null ? 'none' : time(publishedUntilS))}
${fact('Enrolled', html`№ ${meter.enrolledIndex}, ${enrolled}`)}
${fact('Meter', html`<code>${id}</code>, ${meter.assurance}`)}
${fact('One record each', duration(meter.intervalS))}
</dl>
<p class="small">The same as data: <a href="/v1/nodes/${id}">JSON</a>,
<a href="/v1/nodes/${id}/records.csv">the last day’s records as CSV</a>.
<a href="/audit">Check it yourself.</a></p>
<p class="small"><img src="/badge/${id}.svg" height="20" alt="The node’s badge as it is now">
For the node’s own site: <a href="/badge/${id}.svg">/badge/${id}.svg</a></p>
</section>`;
}
