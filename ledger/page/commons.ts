// The commons at a glance: what all nodes do together, and a card for each.

import { html } from 'hono/html';
import type { Point } from '../ask/curve.ts';
import { readStatus } from '../ask/node.ts';
import type { NodeStatus } from '../ask/node.ts';
import type { Reader } from '../ask/read.ts';
import type { MeterRow } from '../ask/schema.ts';
import { readSums, startOfLife } from '../ask/series.ts';
import { edgesOf, stepStart } from '../ask/steps.ts';
import { energyFigure, strokeOf } from './figures.ts';
import type { EnergyBar } from './figures.ts';
import { bytes, countOf, duration, energy, percent, time, UNKNOWN, watts } from './format.ts';
import type { Html } from './format.ts';
import { sparkline } from './plot.ts';
import { costOf, moneyText } from './price.ts';
import type { Price } from './price.ts';
import { FEWER_BARS, plotWindow } from './scale.ts';
import type { PlotWindow } from './scale.ts';
import { statePill, unreportedS, upShare } from './state.ts';
import { fact, tiles } from './tile.ts';
import type { Tile } from './tile.ts';

const DAY_S = 86_400;
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
  price?: Price;
  /** Show cards after this meter id. */
  after: string;
}

export function commonsPage(reader: Reader, options: CommonsOptions): Html {
  const meters = reader.meters('', reader.countMeters());
  if (meters.length === 0) return emptyCommons();
  const glances = meters.map((meter) => glanceAt(reader, meter, options));
  const shown = glances.filter(({ meter }) => meter.meter > options.after).slice(0, MOST_CARDS);
  const last = shown.at(-1)?.meter.meter ?? '';
  const more = glances.some(({ meter }) => meter.meter > last);
  const window = commonsWindow(reader, meters, options.nowS);
  return html`<h1>The commons</h1>
<p class="lead">${leadText(glances)}</p>
${sums(reader, glances, options)}
${energyFigure(window, energyBars(reader, meters, window))}
<section aria-labelledby="nodes"><h2 id="nodes">Nodes</h2>
<p class="small">Figures and lines are of the last 24 hours.</p>
<ul class="cards">${shown.map(card)}</ul>
${more ? html`<p><a href="/?after=${last}#nodes">More nodes</a></p>` : ''}
</section>`;
}

function emptyCommons(): Html {
  return html`<h1>The commons</h1>
<p class="lead">No kit is enrolled yet. The first one appears here with its first batch.</p>`;
}

function glanceAt(reader: Reader, meter: MeterRow, options: CommonsOptions): Glance {
  const { nowS } = options;
  const fromS = Math.max(nowS - DAY_S, Math.min(nowS - 1, startOfLife(reader, meter)));
  const hours = readSums(reader, meter, edgesOf(fromS, nowS, nowS - fromS > 7200 ? 'hour' : 300));
  const [day] = readSums(reader, meter, [fromS, nowS]);
  const status = readStatus(reader, meter, nowS);
  return { meter, name: options.nameOf(meter), status, day, hours };
}

function leadText(glances: Glance[]): string {
  if (glances.length === 1) return `One node, and it is ${glances[0].status.state}.`;
  const up = countUp(glances);
  const others = (['down', 'silent', 'unknown', 'reporting', 'new', 'revoked'] as const)
    .map((state) => [state, glances.filter(({ status }) => status.state === state).length] as const)
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} ${state}`);
  const rest = others.length === 0 ? '' : `; ${others.join(', ')}`;
  return `${up} of ${countOf(glances.length, 'node')} ${up === 1 ? 'is' : 'are'} up${rest}.`;
}

function countUp(glances: Glance[]): number {
  return glances.filter(({ status }) => status.state === 'up').length;
}

function sums(reader: Reader, glances: Glance[], options: CommonsOptions): Html {
  const powers = glances.map(({ status }) => status.powerMilliW).filter((power) => power !== null);
  const totalOf = (value: (day: Point) => number | null): number | null => {
    const known = glances.map(({ day }) => value(day)).filter((part) => part !== null);
    return known.length === 0 ? null : known.reduce((sum, part) => sum + part, 0);
  };
  const power = powers.length === 0 ? null : powers.reduce((sum, part) => sum + part, 0);
  const dayEnergy = totalOf((day) => day.energyMicroWh);
  return tiles([
    {
      label: 'Nodes up', value: `${countUp(glances)} of ${glances.length}`, source: 'measured',
      note: 'by their latest records',
    },
    {
      label: 'Power now', value: watts(power), source: 'measured',
      note: `${countOf(powers.length, 'node')} with a recent record`,
    },
    {
      label: 'Energy, 24 h', value: energy(dayEnergy), source: 'measured',
      note: 'at the nodes’ supply leads',
    },
    {
      label: 'Traffic, 24 h', value: bytes(totalOf(trafficOf)), source: 'claimed',
      note: 'in and out',
    },
    ...(options.price === undefined ? [] : [cost(reader, glances, options.nowS, options.price)]),
  ]);
}

function trafficOf({ wanInBytes, wanOutBytes }: Point): number | null {
  return wanInBytes === null || wanOutBytes === null ? null : wanInBytes + wanOutBytes;
}

function cost(reader: Reader, glances: Glance[], nowS: number, price: Price): Tile {
  const monthS = stepStart(nowS, 'month');
  const parts = glances.map(({ meter }) => {
    const [month] = readSums(reader, meter, [Math.min(monthS, nowS - 1), nowS]);
    const { supplyEfficiencyPermille: efficiencyPermille } = meter;
    return { energyMicroWh: month.energyMicroWh ?? 0, efficiencyPermille };
  });
  const each = moneyText(price.minorPerKWh, price);
  return {
    label: 'Cost, this month', value: moneyText(costOf(parts, price), price), source: 'measured',
    note: `at ${each} per kWh, supplies’ losses included`,
  };
}

function commonsWindow(reader: Reader, meters: MeterRow[], nowS: number): PlotWindow {
  const lifeS = Math.min(...meters.map((meter) => startOfLife(reader, meter)));
  const intervalS = Math.max(...meters.map((meter) => meter.intervalS));
  const name = nowS - lifeS <= 2 * DAY_S ? 'day' : 'month';
  return plotWindow(name, { nowS, lifeS, intervalS, bars: FEWER_BARS });
}

function energyBars(
  reader: Reader, meters: MeterRow[], { fromS, toS, coarse }: PlotWindow,
): EnergyBar[] {
  const edges = edgesOf(fromS, toS, coarse);
  const series = meters.map((meter) => readSums(reader, meter, edges));
  return series[0].map(({ startS, endS }, i) => {
    const known = series.map((points) => points[i].energyMicroWh).filter((part) => part !== null);
    const energyMicroWh = known.length === 0 ? null : known.reduce((sum, part) => sum + part, 0);
    return { startS, endS, energyMicroWh };
  });
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
${cardNote(status, day)}
</li>`;
}

/** Why a card's figures are not the whole day's, if they are not. */
function cardNote(status: NodeStatus, day: Point): Html | '' {
  const missingS = day.unknownS - unreportedS(day, status);
  if (missingS * 20 > day.endS - day.startS) {
    return html`<p class="small">nothing known of ${duration(missingS)}</p>`;
  }
  if (status.state !== 'reporting' || status.publishedUntilS === null) return '';
  return html`<p class="small">published to ${time(status.publishedUntilS)}</p>`;
}
