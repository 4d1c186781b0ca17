// `npm run test:year [-- --seed N --days N --twice --verbose]`: a meter's year on Node. Prints what
// befell it and what must not be; exits 1 if there is any of that. `--cuts SECONDS`: instead, every
// write of that long a time is torn after each of its bytes, with a full memory and with a ledger.
import { parseArgs } from 'node:util';
import { cutEverywhere } from './cuts.ts';
import { runYear, type Year } from './year.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    days: { type: 'string', default: '365' },
    interval: { type: 'string', default: '1800' },
    batch: { type: 'string', default: '43200' },
    cuts: { type: 'string' },
    twice: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});
const options = {
  seed: Number(values.seed), days: Number(values.days),
  intervalS: Number(values.interval), batchS: Number(values.batch),
};
if (values.cuts !== undefined) {
  const parts = { seed: options.seed, seconds: Number(values.cuts), stride: 1 };
  const found = await cutEverywhere(parts);
  console.log(`seed ${options.seed}`, found);
  const wrong = found.full.problems.length + found.reporting.problems.length;
  process.exit(wrong === 0 ? 0 : 1);
}
console.log(`seed ${options.seed}, ${options.days} days`);
const year = await timed();
if (values.twice) {
  const again = await timed();
  if (again.hash !== year.hash) year.problems.push('the same seed gave another year');
}
for (const problem of year.problems) console.log(`AMISS ${problem}`);
console.log(year.problems.length === 0 ? 'A good year.' : `${year.problems.length} amiss.`);
process.exit(year.problems.length === 0 ? 0 : 1);

async function timed(): Promise<Year> {
  const startMs = performance.now();
  const before = process.cpuUsage();
  const tell = values.verbose ? (line: string): void => console.log(line) : undefined;
  const found = await runYear({ ...options, tell });
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify(found.came));
  console.log(JSON.stringify(found.figures));
  const seconds = ((performance.now() - startMs) / 1000).toFixed(0);
  console.log(`${seconds} s, ${((user + system) / 1e6).toFixed(0)} of the processor; ${found.hash}`);
  return found;
}
