// A node's badge, for its own site: its state in a word, its power and how much of the last thirty
// days it was up. A picture that stands alone: no style, no script, no font but the reader's. Pure.

import { html } from 'hono/html';
import type { Point } from '../ask/curve.ts';
import type { NodeState, NodeStatus } from '../ask/node.ts';
import { percent, watts } from './format.ts';
import type { Html } from './format.ts';
import { upShare } from './state.ts';

/** White on each of these has a contrast of at least 4.5 (WCAG 2.2 § 1.4.3). */
const GROUND: Record<NodeState, string> = {
  up: '#17614a', down: '#9a3f05', unknown: '#55625c', reporting: '#2f5f8e', silent: '#55625c',
  new: '#55625c', revoked: '#8c2f39', retired: '#55625c',
};

const HEIGHT = 20;
const LABEL = 'commons';
/** Average advance of a sans-serif at 11 px; `textLength` makes each reader's font keep to it. */
const CHARACTER_PX = 6.4;
const PADDING_PX = 7;

/** `month`: the last thirty days, or the node's life if it is younger. */
export function badge(status: NodeStatus, month: Point): Html {
  const share = upShare(month, status);
  const parts = [
    status.state,
    ...(status.powerMilliW === null ? [] : [watts(status.powerMilliW)]),
    ...(share === null ? [] : [`up ${percent(share)} in 30 d`]),
  ];
  const text = parts.join(' · ');
  const [left, right] = [LABEL, text].map((word) => (
    Math.ceil(word.length * CHARACTER_PX + 2 * PADDING_PX)
  ));
  return html`<svg xmlns="http://www.w3.org/2000/svg" width="${left + right}" height="${HEIGHT}"
 role="img" aria-label="${LABEL}: ${text}"><title>${LABEL}: ${text}</title>
<rect width="${left + right}" height="${HEIGHT}" rx="4" fill="${GROUND[status.state]}"/>
<path d="M0 4a4 4 0 0 1 4-4h${left - 4}v${HEIGHT}h-${left - 4}a4 4 0 0 1-4-4z" fill="#1d2723"/>
<g fill="#fff" font-family="system-ui, sans-serif" font-size="11">
${word(LABEL, 0, left)}${word(text, left, right)}</g></svg>`;
}

function word(text: string, x: number, width: number): Html {
  return html`<text x="${x + PADDING_PX}" y="14" textLength="${width - 2 * PADDING_PX}"
 lengthAdjust="spacingAndGlyphs">${text}</text>`;
}
