// The ledger as OpenMetrics text (https://prometheus.io/docs/specs/om/open_metrics_spec/): what a
// Prometheus scrapes. Base units throughout: joules, seconds, bytes, watts. Pure.

import { majorUnits } from '../currency.ts';
import { STATES } from './node.ts';
import type { NodeDocument } from './documents.ts';

export const METRICS_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

const JOULES_PER_MICRO_WH = 0.0036;

/** Text where a number would lose digits. */
type Value = number | string | null;
interface Family {
  name: string;
  type: 'gauge' | 'counter' | 'stateset' | 'info';
  unit?: string;
  help: string;
  /** Labels beyond the node's, and a value; a null is not written. */
  samples(node: NodeDocument): [Record<string, string>, Value][];
}

const measured = { source: 'measured' };
const claimed = { source: 'claimed' };

const FAMILIES: Family[] = [
  {
    name: 'commons_node', type: 'info', help: 'How the node takes part.',
    samples: (node) => [[{
      name: node.name ?? '', publish: node.publish, assurance: node.assurance,
    }, 1]],
  },
  {
    name: 'commons_node_state', type: 'stateset', help: 'The state that holds is 1.',
    samples: (node) => STATES.map((state) => (
      [{ commons_node_state: state }, state === node.state ? 1 : 0]
    )),
  },
  {
    name: 'commons_node_power_watts', type: 'gauge', unit: 'watts',
    help: 'Mean power of the latest record, while it is recent.',
    samples: (node) => [[measured, scaled(node.measured.power_milli_w, 0.001)]],
  },
  {
    name: 'commons_node_energy_joules', type: 'counter', unit: 'joules',
    help: 'Energy since enrolment, before the supply’s losses.',
    samples: (node) => [[measured, scaled(node.measured.energy_micro_wh, JOULES_PER_MICRO_WH)]],
  },
  {
    name: 'commons_node_reach_seconds', type: 'counter', unit: 'seconds',
    help: 'Time since enrolment by what the meter saw; silence is unknown.',
    samples: (node) => [
      [{ ...measured, reach: 'up' }, node.measured.up_s],
      [{ ...measured, reach: 'down' }, node.measured.down_s],
    ],
  },
  {
    // Late records turn unknown time into known time, so that this one may fall: no counter.
    name: 'commons_node_unknown_seconds', type: 'gauge', unit: 'seconds',
    help: 'Time since enrolment of which nothing is known, or nothing published.',
    samples: (node) => [[measured, node.measured.unknown_s]],
  },
  {
    name: 'commons_node_wan_bytes', type: 'counter', unit: 'bytes',
    help: 'Traffic beyond the home network since enrolment.',
    samples: (node) => [
      [{ ...claimed, direction: 'in' }, node.claimed.wan_in_bytes],
      [{ ...claimed, direction: 'out' }, node.claimed.wan_out_bytes],
    ],
  },
  {
    name: 'commons_node_disk_used_bytes', type: 'gauge', unit: 'bytes',
    help: 'Disk space in use.',
    samples: (node) => [[claimed, node.claimed.disk_used_bytes]],
  },
  {
    // Of prices set back within an open month, and of late records at an older price: no counter.
    name: 'commons_node_cost', type: 'gauge',
    help: 'What the node’s energy costs since the first price, in units of the currency.',
    samples: ({ cost }) => [[
      { currency: cost?.currency ?? '' }, cost && majorUnits(cost.minor, cost.exponent),
    ]],
  },
  {
    name: 'commons_node_batches', type: 'counter', help: 'Batches of the node in the log.',
    samples: (node) => [[{}, node.log.batches]],
  },
];

/** All nodes' families, the log's size, and the end mark. */
export function openMetrics(nodes: NodeDocument[], entries: number): string {
  const lines = FAMILIES.flatMap((family) => [
    ...head(family),
    ...nodes.flatMap((node) => family.samples(node).flatMap(([labels, value]) => (
      value === null ? [] : [sample(family, { meter: node.id, ...labels }, value)]
    ))),
  ]);
  lines.push(
    '# TYPE commons_log_entries gauge',
    '# HELP commons_log_entries Entries that these figures were made from.',
    `commons_log_entries ${entries}`,
    '# EOF',
  );
  return `${lines.join('\n')}\n`;
}

function head({ name, type, unit, help }: Family): string[] {
  const lines = [`# TYPE ${name} ${type}`];
  if (unit !== undefined) lines.push(`# UNIT ${name} ${unit}`);
  return [...lines, `# HELP ${name} ${escape(help)}`];
}

function sample({ name, type }: Family, labels: Record<string, string>, value: number | string): string {
  const suffix = { counter: '_total', info: '_info', gauge: '', stateset: '' }[type];
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escape(text)}"`);
  return `${name}${suffix}{${pairs.join(',')}} ${value}`;
}

/** § Escaping: backslash, double quote and line feed. */
function escape(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function scaled(value: number | null, by: number): Value {
  return value === null ? null : Number((value * by).toFixed(6));
}
