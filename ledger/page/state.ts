// A node's state as the pages show it: a word, a sign that is not colour alone, and what it means.

import { html } from 'hono/html';
import type { Point } from '../ask/curve.ts';
import type { NodeState, NodeStatus } from '../ask/node.ts';
import { PUBLISH } from '../publish.ts';
import type { Publish } from '../publish.ts';
import type { Html } from './format.ts';

const MEANING: Record<NodeState, string> = {
  up: 'The node answers.',
  down: 'The meter runs, but the node does not answer.',
  unknown: 'The meter could not tell.',
  reporting: 'Batches arrive; their figures are not published, or not yet.',
  silent: 'Nothing has come for a while: unknown, not up.',
  new: 'Enrolled; no batch yet.',
  revoked: 'The meter’s key is revoked.',
  retired: 'The meter was taken out of service.',
};

export function statePill({ state }: Pick<NodeStatus, 'state'>): Html {
  return html`<p class="state ${state}" title="${MEANING[state]}">${state}</p>`;
}

/** Why a node that reports shows nothing of now, by what its owner publishes. */
const REPORTING: Record<Publish, string> = {
  [PUBLISH.none]: 'Batches arrive; the owner publishes no figures.',
  [PUBLISH.batch]: 'Batches arrive; their figures are of some time ago.',
  [PUBLISH.hour]: 'Batches arrive; an hour’s figures are published once the next has begun.',
  [PUBLISH.day]: 'Batches arrive; a day’s figures are published once the next has begun.',
};

export function stateMeaning(state: NodeState, publish: Publish): string {
  return state === 'reporting' ? REPORTING[publish] : MEANING[state];
}

/** Nothing more is on its way. */
const NO_TAIL: ReadonlySet<NodeState> = new Set(['silent', 'revoked', 'retired']);

/**
 * The tail of a time up to now of which nothing has been told yet, while batches do arrive: neither
 * up nor missing. A silent node has no such tail, its silence counts.
 */
export function unreportedS({ startS, endS }: Point, status: NodeStatus): number {
  const told = status.publishedUntilS;
  if (told === null || NO_TAIL.has(status.state)) return 0;
  return Math.max(0, endS - Math.max(told, startS));
}

/** The share of a time up to now in which the node was up; null if none of it is told. */
export function upShare(point: Point, status: NodeStatus): number | null {
  const toldS = point.endS - point.startS - unreportedS(point, status);
  const seen = point.upS + point.downS > 0 || status.state === 'silent';
  return seen && toldS > 0 ? Math.min(1, point.upS / toldS) : null;
}
