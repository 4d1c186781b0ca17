// `npm run test:killed [-- KILLS [SEED]]`: a thousand kill -9 of a ledger under load. `npm test` has
// a few of the same; this one takes a quarter of an hour. Exits 1 if a batch is lost or doubled.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killUnderLoad } from './helpers/killed-ledger.ts';
import { chance } from './ledger/ask/homes.ts';

const [kills = 1_000, seed = Date.now() % 2 ** 31] = process.argv.slice(2).map(Number);
const dir = mkdtempSync(join(tmpdir(), 'ledger-killed-'));
console.log(`seed ${seed}`);
try {
  const tell = (text: string): void => console.log(text);
  const acked = await killUnderLoad({ dir, kills, random: chance(seed), height: 10, tell });
  console.log(`${kills} kills: ${acked} batches acknowledged, none lost, none counted twice.`);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
