// The OpenAPI 3.1 description of the public questions. A test asks every path and holds the answers
// against these schemas, so that the description cannot drift from what is served.

import { PUBLISH_NAMES } from './documents.ts';
import { STATES } from './node.ts';
import {
  DEFAULT_MONTHS, DEFAULT_NODES, MAX_MONTHS, MAX_NODES, MAX_POINTS, MAX_RECORDS,
} from './parameters.ts';
import { STEPS } from './steps.ts';

type Schema = Record<string, unknown>;

export function openApi(origin: string): Schema {
  return {
    openapi: '3.1.0',
    info: {
      title: `Commons Ledger ${origin}`, version: '1',
      description: 'What the commons’ nodes draw, how long they are up, and what they carry. Each '
        + 'quantity stands under “measured” (by the meter) or “claimed” (by the node).',
      license: { name: 'AGPL-3.0-or-later', identifier: 'AGPL-3.0-or-later' },
    },
    paths: {
      '/v1/nodes': get('Nodes', json(NODES), [
        query('after', { type: 'string', pattern: ID }, 'the last id of the page before'),
        query('limit', {
          type: 'integer', minimum: 1, maximum: MAX_NODES, default: DEFAULT_NODES,
        }, 'page size'),
      ]),
      '/v1/nodes/{id}': get(
        'One node, and what is missing of it', json(NODE_WITH_MISSING), [NODE_ID],
      ),
      '/v1/nodes/{id}/series': get(
        `What a node did, step by step; at most ${MAX_POINTS} points`, json(SERIES),
        [NODE_ID, ...WINDOW, query('step', { enum: STEPS, default: 'hour' },
          'UTC hours, days, months; raw: as recorded')],
      ),
      '/v1/nodes/{id}/records.csv': get(
        `Published records as signed; at most ${MAX_RECORDS}`, text('text/csv'),
        [NODE_ID, ...WINDOW],
      ),
      '/v1/nodes/{id}/months': get(
        'A node’s months, newest first: what was measured, and what it costs', json(NODE_MONTHS),
        [NODE_ID, ...MONTH_PAGE],
      ),
      '/v1/nodes/{id}/months.csv': get(
        'The same, one line a month', text('text/csv'), [NODE_ID, ...MONTH_PAGE],
      ),
      '/v1/months': get('All nodes’ months together', json(COMMONS_MONTHS), MONTH_PAGE),
      '/v1/months.csv': get('One month, one line a node', text('text/csv'), [
        query('month', { type: 'string', pattern: MONTH }, 'by default the newest'),
      ]),
      '/v1/prices': get('The log’s prices', json(PRICES), []),
      '/metrics': get('All nodes for Prometheus', text('application/openmetrics-text'), []),
      '/v1/openapi.json': get('This document', json({ type: 'object' }), []),
    },
    components: { schemas: { Problem: PROBLEM } },
  };
}

const ID = '^[0-9a-f]{16}$';
const MONTH = '^\\d{4}-(0[1-9]|1[0-2])$';
const TIME: Schema = { type: 'string', format: 'date-time' };
const TIME_OR_NULL: Schema = { type: ['string', 'null'], format: 'date-time' };
const COUNT: Schema = { type: 'integer', minimum: 0 };
const COUNT_OR_NULL: Schema = { type: ['integer', 'null'], minimum: 0 };

const MONEY: Record<string, Schema> = {
  currency: { type: 'string', pattern: '^[A-Z]{3}$' }, exponent: COUNT,
};

const NODE: Schema = object({
  id: { type: 'string', pattern: ID }, name: { type: ['string', 'null'] },
  state: { enum: STATES }, since: TIME_OR_NULL, enrolled: TIME,
  publish: { enum: PUBLISH_NAMES }, assurance: { type: 'string' }, interval_s: COUNT,
  supply_efficiency_permille: COUNT, calibration: {},
  log: object({
    batches: COUNT, missing_batches: COUNT, last_index: COUNT_OR_NULL,
    last_received: TIME_OR_NULL, last_sequence: COUNT_OR_NULL, published_until: TIME_OR_NULL,
  }),
  measured: object({
    power_milli_w: COUNT_OR_NULL, energy_micro_wh: COUNT_OR_NULL,
    up_s: COUNT, down_s: COUNT, unknown_s: COUNT,
  }),
  claimed: object({
    wan_in_bytes: COUNT_OR_NULL, wan_out_bytes: COUNT_OR_NULL, disk_used_bytes: COUNT_OR_NULL,
  }),
  cost: { anyOf: [object({ ...MONEY, minor: { type: 'integer' } }), { type: 'null' }] },
});

const NODES = object({
  origin: { type: 'string' }, total: COUNT, nodes: { type: 'array', items: NODE },
  next: { type: ['string', 'null'], pattern: ID },
});

const NODE_WITH_MISSING = object({
  ...(NODE.properties as Record<string, Schema>),
  missing: {
    type: 'array',
    items: object({
      kind: { enum: ['silence', 'meter-off', 'gap'] }, start: TIME, end: TIME_OR_NULL,
      first_sequence: COUNT_OR_NULL, last_sequence: COUNT_OR_NULL,
    }),
  },
});

const SERIES = object({
  id: { type: 'string', pattern: ID }, from: TIME, to: TIME, step: { enum: STEPS },
  points: {
    type: 'array',
    items: object({
      start: TIME, end: TIME,
      measured: object({
        energy_micro_wh: COUNT_OR_NULL, mean_milli_w: COUNT_OR_NULL, min_milli_w: COUNT_OR_NULL,
        max_milli_w: COUNT_OR_NULL, up_s: COUNT, down_s: COUNT, unknown_s: COUNT,
      }),
      claimed: object({
        wan_in_bytes: COUNT_OR_NULL, wan_out_bytes: COUNT_OR_NULL, disk_used_bytes: COUNT_OR_NULL,
      }),
    }),
  },
});

const MONTH_MEMBERS: Record<string, Schema> = {
  month: { type: 'string', pattern: MONTH }, start: TIME, end: TIME, zone: { type: 'string' },
  closed: TIME_OR_NULL, closed_index: COUNT_OR_NULL,
  measured: object({
    energy_micro_wh: COUNT_OR_NULL, up_s: COUNT, down_s: COUNT, unknown_s: COUNT,
  }),
  claimed: object({ wan_in_bytes: COUNT_OR_NULL, wan_out_bytes: COUNT_OR_NULL }),
  late: object({
    measured: object({
      energy_micro_wh: { type: 'integer' }, up_s: { type: 'integer' }, down_s: { type: 'integer' },
    }),
    claimed: object({ wan_in_bytes: { type: 'integer' }, wan_out_bytes: { type: 'integer' } }),
  }),
  cost_minor: { type: ['integer', 'null'] }, late_cost_minor: { type: 'integer' },
};

const NODE_MONTHS = object({
  id: { type: 'string', pattern: ID }, ...monthsOf(object(MONTH_MEMBERS)),
});
const COMMONS_MONTHS = object({
  origin: { type: 'string' }, ...monthsOf(object({ ...MONTH_MEMBERS, nodes: COUNT })),
});

const PRICES = object({
  origin: { type: 'string' },
  prices: {
    type: 'array',
    items: object({
      entry_index: COUNT, received: TIME, ...MONEY, milli_minor_per_kwh: COUNT,
      per_kwh: { type: 'string' }, valid_from: { type: 'string', format: 'date' },
      zone: { type: 'string' }, starts: TIME,
    }),
  },
});

/** RFC 9457. */
const PROBLEM: Schema = {
  type: 'object', required: ['type', 'title', 'status'],
  properties: {
    type: { type: 'string' }, title: { type: 'string' }, status: { type: 'integer' },
    expected: { type: 'string' }, got: { type: 'string' }, hint: { type: 'string' },
  },
};

const NODE_ID: Schema = {
  name: 'id', in: 'path', required: true, schema: { type: 'string', pattern: ID },
};
const WINDOW: Schema[] = [
  query('from', { type: 'string' }, 'UTC date or time; a day before `to`'),
  query('to', { type: 'string' }, 'UTC date or time; now'),
];

const MONTH_PAGE: Schema[] = [
  query('before', { type: 'string', pattern: MONTH }, 'the last month of the page before'),
  query('limit', {
    type: 'integer', minimum: 1, maximum: MAX_MONTHS, default: DEFAULT_MONTHS,
  }, 'page size'),
];

function monthsOf(month: Schema): Record<string, Schema> {
  return {
    as_of: TIME_OR_NULL, zone: { type: ['string', 'null'] },
    currency: { type: ['string', 'null'] }, exponent: COUNT_OR_NULL,
    months: { type: 'array', items: month },
    next: { type: ['string', 'null'], pattern: MONTH },
  };
}

/** An object with exactly these members. */
function object(properties: Record<string, Schema>): Schema {
  const required = Object.keys(properties);
  return { type: 'object', additionalProperties: false, required, properties };
}

function query(name: string, schema: Schema, description: string): Schema {
  return { name, in: 'query', description, schema };
}

function json(schema: Schema): Schema {
  return { 'application/json': { schema } };
}

function text(type: string): Schema {
  return { [type]: { schema: { type: 'string' } } };
}

function get(summary: string, content: Schema, parameters: Schema[]): Schema {
  const schema = { $ref: '#/components/schemas/Problem' };
  const problem = { 'application/problem+json': { schema } };
  return {
    get: {
      summary, parameters,
      responses: {
        200: { description: 'The answer', content },
        304: { description: 'Not changed since the ETag that was sent' },
        '4XX': { description: 'What was expected, and what came', content: problem },
      },
    },
  };
}
