import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import test from 'ava';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { HOMES, NAMES, NOW_S, openBrowser, openSite, PRICES } from './page/site.ts';
import type { Site } from './page/site.ts';
import { evenMeter, priceSet, tick } from '../helpers/even-meter.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const [alice, bob, carol, dan] = HOMES;
const PATHS = [
  '/', `/node/${alice.meter}`, `/node/${alice.meter}?window=week`, `/node/${carol.meter}`,
  `/node/${dan.meter}`, '/audit', '/node/0000000000000000',
];

let site: Site;
let browser: Browser;
test.before(async () => {
  [site, browser] = await Promise.all([openSite(HOMES, {}, PRICES), openBrowser()]);
});
test.after.always(async () => {
  await browser?.close();
  await site?.close();
});

/** Opens a page and hands back what it complained of and where it asked. */
async function visit(path: string, options: BrowserContextOptions = {}, base = site) {
  const context = await browser.newContext({ timezoneId: 'UTC', locale: 'en-GB', ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  const requests: string[] = [];
  page.on('console', (message) => {
    // The one page that is asked for in vain is meant to be.
    if (!message.text().includes('status of 404')) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('dialog', (dialog) => complaints.push(`dialog ${dialog.message()}`));
  page.on('request', (request) => requests.push(request.url()));
  await page.goto(base.url + path);
  return { page, complaints, requests, close: () => context.close() };
}

for (const path of PATHS) {
  test.serial(`${path} is quiet, accessible, asks nobody else, and fits a phone`, async (t) => {
    const { page, complaints, requests, close } = await visit(path, { colorScheme: 'light' });
    await page.evaluate(AXE);
    t.deepEqual(await violations(page), [], 'light');
    await page.emulateMedia({ colorScheme: 'dark' });
    t.deepEqual(await violations(page), [], 'dark');
    await page.setViewportSize({ width: 320, height: 640 });
    t.is(await page.evaluate('document.documentElement.scrollWidth'), 320);
    t.deepEqual(complaints, []);
    t.deepEqual(requests.filter((url) => !url.startsWith(`${site.url}/`)), []);
    await close();
  });
}

test.serial('without JavaScript all is there, in UTC', async (t) => {
  const { page, close } = await visit(`/node/${alice.meter}`, { javaScriptEnabled: false });
  t.deepEqual(await page.locator('figure.plot').evaluateAll((all) => all.map(({ id }) => id)), [
    'power', 'reach', 'traffic',
  ]);
  t.deepEqual(await page.locator('figure.plot .source').allTextContents(), [
    'measured', 'measured', 'claimed',
  ]);
  t.regex((await page.locator('.facts time').first().textContent())!, /^18 Mar 2027, 16:\d\d UTC$/);
  t.is(await page.locator('[data-zone]').textContent(), 'times in UTC');
  await close();
});

test.serial('with JavaScript times are the reader’s own, and UTC stays in the title', async (t) => {
  const { page, close } = await visit(`/node/${alice.meter}`, { timezoneId: 'Asia/Kolkata' });
  const time = page.locator('.facts time').first();
  const at = new Date((await time.getAttribute('datetime'))!);
  const text = at.toLocaleString('en-GB', {
    timeZone: 'Asia/Kolkata', day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit',
    minute: '2-digit',
  });
  t.is(await time.textContent(), text);
  t.regex((await time.getAttribute('title'))!, /UTC$/);
  t.true((await page.locator('[data-zone]').textContent())!.includes('Asia/'));
  t.true((await page.locator('#power .times text').allTextContents()).every((tick) => tick.endsWith(':30')));
  await close();
});

test.serial('gaps are drawn as gaps: no line crosses them, and the band lies around the line', async (t) => {
  const { page, close } = await visit(`/node/${alice.meter}`);
  const drawn = await page.locator('#power .plane').evaluate((plane: any) => {
    const box = plane.getBoundingClientRect();
    const gaps = [...plane.querySelectorAll('.gap')].map((gap: any) => {
      const { left, right } = gap.getBoundingClientRect();
      return [(left - box.left) / box.width, (right - box.left) / box.width];
    });
    return {
      gaps, line: plane.querySelector('.line').getAttribute('d'),
      band: plane.querySelector('.band').getAttribute('d'),
    };
  });
  t.is(drawn.gaps.length, 2);
  const runs = extents(drawn.line);
  t.is(runs.length, 2);
  for (const [left, right] of drawn.gaps) {
    for (const run of runs) {
      t.true(run.to <= left * 1000 + 1 || run.from >= right * 1000 - 1, `${run.from} … ${run.to}`);
    }
  }
  const bands = extents(drawn.band);
  runs.forEach((run, i) => {
    t.true(bands[i].top < run.top && bands[i].foot > run.foot);
    t.is(bands[i].from, run.from);
  });
  await close();
});

test.serial('each plot has its table, row for row', async (t) => {
  const { page, close } = await visit(`/node/${alice.meter}`);
  for (const id of ['power', 'reach', 'traffic']) {
    await page.locator(`#${id} summary`).click();
    t.true(await page.locator(`#${id} table`).isVisible());
    t.is(await page.locator(`#${id} tbody tr`).count(), await page.locator(`#${id} .hint`).count());
  }
  await close();
});

test.serial('the commons says how many are up, and each node says how it is', async (t) => {
  const { page, close } = await visit('/');
  t.is(await page.locator('.lead').textContent(),
    '2 of 4 nodes are up; 1 down, 1 silent; 1 more reports, its latest figures not public.');
  t.deepEqual(await page.locator('.card .state').allTextContents(), [
    'up', 'up', 'reporting', 'silent', 'down',
  ]);
  t.is(await page.locator('.card h3').nth(3).textContent(), NAMES[dan.meter]);
  await page.getByRole('link', { name: 'bob' }).click();
  t.is(await page.locator('h1').textContent(), 'bob');
  t.true(page.url().endsWith(`/node/${bob.meter}`));
  await close();
});

test.serial('a commons that publishes by the day is not said to be down', async (t) => {
  const daily = HOMES.slice(0, 2).map((home) => ({ ...home, publish: 3 as const, down: [], off: [] }));
  const none = { ...HOMES[2], publish: 0 as const };
  const site = await openSite([...daily, none]);
  const { page, close } = await visit('/', {}, site);
  t.is(await page.locator('.lead').textContent(), '3 nodes report, their latest figures not public.');
  const [up] = await page.locator('.sums dd').allTextContents();
  t.is(up, 'unknown');
  const [first, , last] = await page.locator('.card').allTextContents();
  t.regex(first, /published to/);
  t.regex(last, /its owner publishes no figures/);
  await page.goto(`${site.url}/node/${none.meter}`);
  t.regex((await page.locator('.lead').textContent())!, /the owner publishes no figures/);
  t.is(await page.locator('figure.plot').count(), 0);
  t.regex((await page.locator('main').textContent())!, /There is nothing to plot: the owner/);
  await page.goto(`${site.url}/node/${daily[0].meter}`);
  t.regex((await page.locator('.lead').textContent())!, /a day’s figures are published once the next has begun/);
  t.is(await page.locator('figure.plot').count(), 3);
  await close();
  await site.close();
});

test.serial('what is missing is named, with its times', async (t) => {
  const missing = async (meter: string): Promise<string[]> => {
    const { page, close } = await visit(`/node/${meter}`, { javaScriptEnabled: false });
    const texts = await page.locator('.missing li').allTextContents();
    await close();
    return texts;
  };
  const [latest, older] = await missing(alice.meter);
  t.is(latest.replaceAll('\n', ' '), 'No power at the meter 18 Mar 2027, 07:15 UTC to '
    + '18 Mar 2027, 09:15 UTC (2 h). The time counts as unknown.');
  t.regex(older, /\(9 h\)/);
  t.regex((await missing(dan.meter))[0], /^Silence since 18 Mar 2027, 02:15 UTC \(14 h/);
  t.deepEqual(await missing(bob.meter), []);
});

test.serial('a try-out says so, a price shows a cost, and one young node has its plots', async (t) => {
  const young = { ...bob, enrolledS: NOW_S - 3600, untilS: NOW_S, intervalS: 60, batchRecords: 5 };
  const tryOut = await openSite([young], { rate: 10 }, [
    priceSet(new Date((NOW_S - 3600) * 1000).toISOString(), '2027-03-18'),
  ]);
  const { page, close } = await visit('/', {}, tryOut);
  t.true((await page.locator('.tryout').textContent())!.includes('10 times as fast'));
  t.is(await page.locator('.lead').textContent(), 'One node, and it is up.');
  t.true((await page.locator('.sums').textContent())!.includes('€'));
  await page.goto(`${tryOut.url}/node/${young.meter}`);
  t.is(await page.locator('[aria-current="true"]').textContent(), '2 hours');
  t.true(await page.locator('#power .hint').count() >= 60);
  await close();
  await tryOut.close();
});

test.serial('months are a table: cost, measured, claimed, and what came late told apart', async (t) => {
  const even = evenMeter('a11ce0a11ce0a11c', '2027-02-01T00:00:00Z');
  const entries = [
    even.enrolled, priceSet('2027-02-01T00:00:00Z', '2027-02-01', { zone: 'UTC' }),
    even.batch(['2027-02-21T00:00:00Z']), tick('2027-03-04T00:00:00Z'),
    even.batch(['2027-02-26T00:00:00Z', '2027-03-11T00:00:00Z']),
  ];
  const late = await openSite([], {}, entries);
  for (const path of ['/', '/node/a11ce0a11ce0a11c']) {
    const { page, complaints, close } = await visit(path, { javaScriptEnabled: true }, late);
    const rows = await page.locator('.months tr').evaluateAll((all) => all.map((row) => (
      [...(row as any).cells].map((cell: any) => cell.textContent.replaceAll(/\s+/g, ' ').trim())
    )));
    t.deepEqual(rows, [
      ['Month', 'Cost', 'Energy measured', 'Up measured', 'Unknown measured', 'Traffic claimed'],
      [
        'Mar 2027 open', '€12.96 €5.76 of it late', '24.0 kWh + 19.2 kWh late', '100.0 %', '0.0 %',
        '873 MB + 698 MB late',
      ],
      ['Feb 2027', '€14.40', '48.0 kWh', '71.4 %', '28.6 %', '1.75 GB'],
    ]);
    t.regex((await page.locator('.prices').textContent())!, /1 Feb 2027 in UTC: €0.30 per kWh/);
    t.regex((await page.locator('.sums').textContent())!, /€12.96[^]*€5.76 of it for earlier months/);
    await page.evaluate(AXE);
    t.deepEqual(await violations(page), []);
    await page.setViewportSize({ width: 320, height: 640 });
    t.is(await page.evaluate('document.documentElement.scrollWidth'), 320);
    t.deepEqual(complaints, []);
    await close();
  }
  await late.close();
});

test.serial('without a price no cost is shown, and the page says why', async (t) => {
  const priceless = await openSite([bob]);
  for (const path of ['/', `/node/${bob.meter}`]) {
    const { page, close } = await visit(path, {}, priceless);
    t.false((await page.content()).includes('Cost'));
    t.true((await page.locator('.months').textContent())!.includes('No price is set'));
    await close();
  }
  await priceless.close();
});

test.serial('a ledger without nodes says what will come', async (t) => {
  const empty = await openSite([]);
  const { page, complaints, close } = await visit('/', {}, empty);
  t.regex((await page.locator('main').textContent())!, /No kit is enrolled yet/);
  t.deepEqual(complaints, []);
  await close();
  await empty.close();
});

async function violations(page: Page): Promise<string[]> {
  const found = await page.evaluate(() => (globalThis as any).axe.run());
  return found.violations.map((violation: any) => (
    `${violation.id}: ${violation.nodes.map((node: any) => node.html).join(' ').slice(0, 300)}`
  ));
}

/** Where each run of an SVG path of absolute M, L and H lies, in its own units. */
function extents(path: string): { from: number; to: number; top: number; foot: number }[] {
  return path.split('M').slice(1).map((run) => {
    const steps = [...run.matchAll(/([\d.]+) ([\d.]+)H([\d.]+)/g)].map((step) => step.slice(1).map(Number));
    const xs = steps.flatMap(([x, , h]) => [x, h]);
    const ys = steps.map(([, y]) => y);
    return { from: Math.min(...xs), to: Math.max(...xs), top: Math.min(...ys), foot: Math.max(...ys) };
  });
}

