// A figure large enough to read from across the room: what it is, how much, from whom, of when.

import { html } from 'hono/html';
import type { Html } from './format.ts';
import { sourceMark } from './layout.ts';

export interface Tile {
  label: string;
  value: string;
  source: 'measured' | 'claimed';
  note: string;
}

export function tiles(all: Tile[]): Html {
  return html`<dl class="sums">${all.map(({ label, value, source, note }) => html`
<div><dt>${label}</dt><dd>${value}</dd><dd class="small">${sourceMark(source)} ${note}</dd></div>`)}
</dl>`;
}

/** One line of a list of facts. */
export function fact(label: string, value: Html | string): Html {
  return html`<div><dt>${label}</dt><dd>${value}</dd></div>`;
}
