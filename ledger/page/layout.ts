// What every page has: head, navigation, the note on a try-out clock, the legend, and the headers
// that let nothing come from elsewhere.

import { html } from 'hono/html';
import { countOf, timeAgo } from './format.ts';
import type { Html } from './format.ts';
import { plotPatterns } from './plot.ts';

export interface PageFrame {
  title: string;
  /** Which entry of the navigation this page is. */
  place: 'commons' | 'node' | 'audit';
  origin: string;
  nowS: number;
  /** Seconds of the ledger's clock to a real one; 1 but in a try-out. */
  rate: number;
  /** Log entries that the figures come from. */
  entries: number;
}

/** Nothing from elsewhere, nothing inline: style, script and mark are served beside the page. */
export const PAGE_HEADERS: Record<string, string> = {
  'Content-Security-Policy': "default-src 'none'; style-src 'self'; script-src 'self'; "
    + "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'no-cache',
};

export function layout(frame: PageFrame, main: Html): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${frame.title} · ${frame.origin}</title>
<link rel="icon" type="image/svg+xml" href="/page/mark.svg">
<link rel="stylesheet" href="/page/page.css">
<script type="module" src="/page/page.js"></script>
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
${plotPatterns()}
<header class="top">
<a class="home" href="/"><img src="/page/mark.svg" alt="" width="28" height="28">
<span>Commons Ledger</span></a>
<nav aria-label="Pages"><ul>
<li>${navLink(frame.place, 'commons', '/', 'Commons')}</li>
<li>${navLink(frame.place, 'audit', '/audit', 'Audit')}</li>
<li><a href="/v1/openapi.json">Data</a></li>
</ul></nav>
</header>
${frame.rate === 1 ? '' : tryOutNote(frame.rate)}
<main id="main" tabindex="-1">
${main}
</main>
<footer>
<dl class="legend">
<div><dt>${sourceMark('measured')}</dt><dd>by the meter itself, and signed by it</dd></div>
<div><dt>${sourceMark('claimed')}</dt><dd>told to the meter by the node</dd></div>
<div><dt><svg class="swatch" aria-hidden="true">
<rect width="100%" height="100%" fill="url(#hatch)"/></svg><span>hatched</span></dt><dd>nothing is known: no data is not zero, and never “up”</dd></div>
</dl>
<p><span class="origin">${frame.origin}</span> ·
from ${countOf(frame.entries, 'log entry', 'log entries')} ·
made ${timeAgo(frame.nowS, frame.nowS)} · <span data-zone>times in UTC</span></p>
</footer>
</body>
</html>`;
}

/** Whether a quantity is the meter's own or the node's word. */
export function sourceMark(source: 'measured' | 'claimed'): Html {
  return html`<span class="source ${source}">${source}</span>`;
}

function navLink(place: string, here: string, href: string, text: string): Html {
  return place === here
    ? html`<a href="${href}" aria-current="page">${text}</a>`
    : html`<a href="${href}">${text}</a>`;
}

function tryOutNote(rate: number): Html {
  return html`<p class="tryout" role="note"><strong>A try-out.</strong> This ledger’s clock runs
${rate} times as fast as the world’s: its times are its own, and its figures a rehearsal’s.</p>`;
}
