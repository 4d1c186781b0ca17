// The commons at a glance: what all nodes do together, and a card for each.

import { html } from 'hono/html';
import type { Point } from '../ask/curve.ts';
import { readCommonsDays, readCommonsNow, readCommonsSums } from '../ask/commons.ts';
import type { CommonsNow, CommonsPoint } from '../ask/commons.ts';
import type { LedgerBook } from '../ask/months.ts';
import { readStatus } from '../ask/node.ts';
import type { NodeState, NodeStatus } from '../ask/node.ts';
import type { Reader } from '../ask/read.ts';
import { DAY_S } from '../ask/schema.ts';
import type { MeterRow } from '../ask/schema.ts';
import { readSums } from '../ask/series.ts';
import { edgesOf, stepStart } from '../ask/steps.ts';
import { PUBLISH } from '../publish.ts';
import { energyFigure, strokeOf } from './figures.ts';
import { bytes, countOf, duration, energy, percent, time, UNKNOWN, watts } from './format.ts';
import type { Html } from './format.ts';
import { costTiles, MONTHS_SHOWN, monthsSection } from './months.ts';
import { sparkline } from './plot.ts';
import { FEWER_BARS, plotWindow } from './scale.ts';
import type { PlotWindow } from './scale.ts';
import { statePill, unreportedS, upShare } from './state.ts';
import { fact, tiles } from './tile.ts';
import type { Tile } from './tile.ts';

/** Cards on one page; the sums are always of all. */
const MOST_CARDS = 60;

interface Glance {
  meter: MeterRow;
  name: string;
  status: NodeStatus;
  /** The last day: as a whole, and by the hour. */
  day: Point;
  hours: Point[];
}

export interface CommonsOptions {
  nowS: number;
  nameOf(meter: MeterRow): string;
  book: LedgerBook;
  /** Show cards after this meter id. */
  after: string;
}

export function commonsPage(reader: Reader, options: CommonsOptions): Html {
  const { nowS, after, book } = options;
  const meters = reader.meters('', reader.countMeters());
  if (meters.length === 0) return emptyCommons();
  const now = readCommonsNow(reader, meters, nowS);
  const later = meters.filter(({ meter }) => meter > after);
  const shown = later.slice(0, MOST_CARDS);
  const window = commonsWindow(meters, nowS);
  const points = window.name === 'day'
    ? readCommonsSums(reader, meters, edgesOf(window.fromS, window.toS, window.coarse))
    : readCommonsDays(reader, meters, { ...window, nowS, step: 'day' });
  const months = book.months(meters, { limit: MONTHS_SHOWN });
  return html`<h1>The commons</h1>
<p class="lead">${leadText(now)}</p>
${sums(now, points, { window, cost: costTiles(months, book) })}
${energyFigure(window, points)}
<section aria-labelledby="nodes"><h2 id="nodes">Nodes</h2>
<p class="small">Figures and lines are of the last 24 hours.</p>
<ul class="cards">${shown.map((meter) => card(glanceAt(reader, meter, options)))}</ul>
${later.length > shown.length
    ? html`<p><a href="/?after=${shown.at(-1)!.meter}#nodes">More nodes</a></p>` : ''}
</section>
${monthsSection({ months, book, href: '/v1/months' })}`;
}

function emptyCommons(): Html {
  return html`<h1>The commons</h1>
<p class="lead">No kit is enrolled yet. The first one appears here as soon as it is
paired.</p>`;
}

function glanceAt(reader: Reader, meter: MeterRow, options: CommonsOptions): Glance {
  const { nowS } = options;
  const fromS = Math.max(nowS - DAY_S, Math.min(nowS - 1, meter.lifeS));
  const hours = readSums(reader, meter, edgesOf(fromS, nowS, nowS - fromS > 7200 ? 'hour' : 300));
  const [day] = readSums(reader, meter, [fromS, nowS]);
  const status = readStatus(reader, meter, nowS);
  return { meter, name: options.nameOf(meter), status, day, hours };
}

/** Of these it is known whether they are up; what may be wrong first. */
const KNOWN: readonly NodeState[] = ['up', 'down', 'silent', 'unknown'];
const OTHERS: readonly NodeState[] = ['new', 'revoked', 'retired'];

/** How many nodes it is known of whether they are up: not of those who publish later, or ended. */
function knownOf({ states }: CommonsNow): number {
  return KNOWN.reduce((sum, state) => sum + states[state], 0);
}

function leadText(now: CommonsNow): string {
  const { nodes, states } = now;
  const [known, { up, reporting }] = [knownOf(now), states];
  const present = [...KNOWN, ...OTHERS].filter((state) => states[state] > 0);
  if (nodes === 1 && reporting === 0) return `One node, and it is ${present[0]}.`;
  const countsOf = (said: readonly NodeState[]): string[] => {
    const counts = present.filter((state) => said.includes(state) && state !== 'up')
      .map((state) => `${states[state]} ${state}`);
    return counts.length === 0 ? [] : [counts.join(', ')];
  };
  const more = known > 0 ? `${reporting} more` : countOf(reporting, 'node');
  const verb = reporting === 1 ? 'reports, its' : 'report, their';
  return `${[
    ...(known === 0 ? [] : [`${up} of ${countOf(known, 'node')} ${up === 1 ? 'is' : 'are'} up`]),
    ...countsOf(KNOWN),
    ...(reporting === 0 ? [] : [`${more} ${verb} latest figures not public`]),
    ...countsOf(OTHERS),
  ].join('; ')}.`;
}

function sums(
  now: CommonsNow, points: CommonsPoint[], { window, cost }: { window: PlotWindow; cost: Tile[] },
): Html {
  const totalOf = (value: (point: CommonsPoint) => number | null): number | null => {
    const known = points.map(value).filter((part) => part !== null);
    return known.length === 0 ? null : known.reduce((sum, part) => sum + part, 0);
  };
  const span = window.name === 'day' ? 'so far' : '30 days';
  const known = knownOf(now);
  const reporting = now.states.reporting === 0 ? '' : `; ${now.states.reporting} more report`;
  return tiles([
    {
      label: 'Nodes up', value: known === 0 ? UNKNOWN : `${now.states.up} of ${known}`,
      source: 'measured', note: `by their latest records${reporting}`,
    },
    {
      label: 'Power now', value: watts(now.powerMilliW), source: 'measured',
      note: `${countOf(now.poweredNodes, 'node')} with a recent record`,
    },
    {
      label: `Energy, ${span}`, value: energy(totalOf((point) => point.energyMicroWh)),
      source: 'measured', note: 'at the nodes’ supply leads',
    },
    {
      label: `Traffic, ${span}`, value: bytes(totalOf(trafficOf)), source: 'claimed',
      note: 'in and out',
    },
    ...cost,
  ]);
}

function trafficOf(
  { wanInBytes, wanOutBytes }: Pick<Point, 'wanInBytes' | 'wanOutBytes'>,
): number | null {
  return wanInBytes === null || wanOutBytes === null ? null : wanInBytes + wanOutBytes;
}

/** A young commons by the hour, an older one by the UTC day. */
function commonsWindow(meters: MeterRow[], nowS: number): PlotWindow {
  const lifeS = Math.min(...meters.map((meter) => meter.lifeS));
  if (nowS - lifeS <= 2 * DAY_S) {
    const intervalS = Math.max(...meters.map((meter) => meter.intervalS));
    return plotWindow('day', { nowS, lifeS, intervalS, bars: FEWER_BARS });
  }
  const fromS = stepStart(Math.max(nowS - 30 * DAY_S, lifeS), 'day');
  return { name: 'month', fromS, toS: nowS, fine: DAY_S, coarse: DAY_S };
}

function card({ meter, name, status, day, hours }: Glance): Html {
  const share = upShare(day, status);
  const power = status.powerMilliW;
  return html`<li class="card">
<h3><a href="/node/${meter.meter}">${name}</a></h3>${statePill(status)}
${sparkline(hours.map(strokeOf), { startS: hours[0].startS, endS: day.endS })}
<dl>
${fact(power === null ? 'Mean' : 'Power', watts(power ?? day.meanMilliW))}
${fact('Energy', energy(day.energyMicroWh))}
${fact('Up', share === null ? UNKNOWN : percent(share))}
${fact('Traffic', html`<span class="claimed">${bytes(trafficOf(day))}</span>`)}
</dl>
${cardNote(meter, status, day)}
</li>`;
}

/** Why a card's figures are not the whole day's, if they are not. */
function cardNote({ publish }: MeterRow, status: NodeStatus, day: Point): Html | '' {
  if (publish === PUBLISH.none && status.state === 'reporting') {
    return html`<p class="small">its owner publishes no figures</p>`;
  }
  const missingS = day.unknownS - unreportedS(day, status);
  if (missingS * 20 > day.endS - day.startS) {
    return html`<p class="small">nothing known of ${duration(missingS)}</p>`;
  }
  if (status.state !== 'reporting' || status.publishedUntilS === null) return '';
  return html`<p class="small">published to ${time(status.publishedUntilS)}</p>`;
}
