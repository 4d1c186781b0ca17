import test from 'ava';
import { badge } from '../../../ledger/page/badge.ts';
import { openSite, HOMES } from './site.ts';
import type { NodeStatus } from '../../../ledger/ask/node.ts';
import type { Point } from '../../../ledger/ask/curve.ts';

test('each home’s badge says its state, in an image that other sites may show', async (t) => {
  const site = await openSite(HOMES);
  const [alice, , carol, dan] = HOMES;
  const texts: Record<string, string> = {};
  for (const [name, { meter }] of Object.entries({ alice, carol, dan })) {
    const answer = await fetch(`${site.url}/badge/${meter}.svg`);
    t.is(answer.status, 200);
    t.is(answer.headers.get('Content-Type'), 'image/svg+xml');
    t.is(answer.headers.get('Cross-Origin-Resource-Policy'), 'cross-origin');
    texts[name] = /<title>(.*)<\/title>/.exec(await answer.text())![1];
  }
  t.regex(texts.alice, /^commons: up · \d\.\d\d W · up \d\d\.\d+ % in 30 d$/);
  t.regex(texts.carol, /^commons: reporting/);
  t.regex(texts.dan, /^commons: silent · up \d\d\.\d+ % in 30 d$/);
  t.is((await fetch(`${site.url}/badge/0000000000000000.svg`)).status, 404);
  t.is((await fetch(`${site.url}/badge/x.svg`)).status, 400);
  await site.close();
});

test('of a node that has told nothing, a badge claims nothing', (t) => {
  const status = { state: 'new', powerMilliW: null, publishedUntilS: null } as NodeStatus;
  const month = { startS: 0, endS: 60, upS: 0, downS: 0, unknownS: 60 } as Point;
  t.is(/<title>(.*)<\/title>/.exec(String(badge(status, month)))![1], 'commons: new');
});
