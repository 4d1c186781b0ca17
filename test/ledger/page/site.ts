// A site of seeded homes on a port of the system's choice, and a browser to look at it with.

import { serve } from '@hono/node-server';
import type { AddressInfo } from 'node:net';
import { Hono } from 'hono';
import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';
import { askRoutes } from '../../../ledger/ask/routes.ts';
import { pageRoutes } from '../../../ledger/page/routes.ts';
import type { PageDeps } from '../../../ledger/page/routes.ts';
import { priceSet } from '../../helpers/even-meter.ts';
import { settle } from '../ask/homes.ts';
import type { Home } from '../ask/homes.ts';

export const DAY_S = 86_400;
export const NOW_S = Date.parse('2027-03-18T16:25:00Z') / 1000;

const ago = (hours: number): number => Math.floor((NOW_S - hours * 3600) / 900) * 900;
const from = (hours: number, forHours: number) => ({ fromS: ago(hours), toS: ago(hours - forHours) });

/** Five homes that each show something; alice the most. */
export const HOMES: Home[] = [
  {
    meter: 'a11ce0a11ce0a11c', enrolledS: ago(20 * 24), untilS: NOW_S, idleMilliW: 4100,
    down: [from(16, 1.5), from(200, 3)], off: [from(9, 2), from(130, 9)], cutOff: [from(60, 7)],
  },
  { meter: 'b0b0b0b0b0b0b0b0', enrolledS: ago(12 * 24), untilS: NOW_S, idleMilliW: 2700 },
  { meter: 'ca401ca401ca401c', enrolledS: ago(15 * 24), untilS: NOW_S, publish: 3, idleMilliW: 9800 },
  { meter: 'da1eda1eda1eda1e', enrolledS: ago(9 * 24), untilS: ago(14), idleMilliW: 3900 },
  {
    meter: 'e4ae4ae4ae4ae4ae', enrolledS: ago(3 * 24), untilS: NOW_S, idleMilliW: 13_800,
    down: [from(3, 24)],
  },
];

/** Two prices; the second one holds from within March. */
export const PRICES = [
  priceSet('2027-02-26T16:30:00Z', '2027-02-26', { milliMinorPerKWh: 31_450 }),
  priceSet('2027-03-02T09:00:00Z', '2027-03-10', { milliMinorPerKWh: 29_900 }),
];

export const NAMES: Record<string, string> = {
  a11ce0a11ce0a11c: 'alice', b0b0b0b0b0b0b0b0: 'bob', ca401ca401ca401c: 'carol',
  da1eda1eda1eda1e: '<script>alert("dan")</script> & dan',
};

export const CHECKPOINT = 'ledger.test/commons\n42\nqINS1GRFhWHwdkUeqLEoP4yEMkTBBzxBkGwGQlVlVcs=\n\n'
  + '— ledger.test/commons GqcMHQ8dLv4dWPPNnM0PTtLnpPTzTg3DdwQpkvtAlZgSzUJ6nVXhy8gh2uyIN9Pkfv5sHgg=\n';

export interface Site {
  url: string;
  close(): Promise<void>;
}

export async function openSite(
  homes: Home[], options: Partial<PageDeps> = {}, prices: typeof PRICES = [],
): Promise<Site> {
  const deps: PageDeps = {
    db: settle(homes, 1, prices), now: () => NOW_S * 1000 + 90_000, origin: 'ledger.test/commons',
    names: (meter) => NAMES[meter] ?? null, rate: 1,
    vkey: 'ledger.test/commons+1aa70c1d+AS9AjdJTgOQYdDQbVF0D9t4hwVnqVg6cKtNJn3tdGMuF',
    checkpoint: () => CHECKPOINT, ...options,
  };
  const app = new Hono().route('/', askRoutes(deps)).route('/', pageRoutes(deps));
  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' });
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

export function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });
}
