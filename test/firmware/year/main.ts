// `npm run test:year [-- --seed N --days N --twice --verbose]`: a meter's year on Node. Prints what
// befell it and what must not be; exits 1 if there is any of that. `--cuts SECONDS`: instead, every
// write of that long a time is torn after each of its bytes, with a full memory and with a ledger.
// `--machine HOURS`: instead, so long a time of the bytecode in its machine.
import { parseArgs } from 'node:util';
import { runDay } from '../day/day.ts';
import { cutEverywhere } from './cuts.ts';
import { runYear, type Year } from './year.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    days: { type: 'string', default: '365' },
    interval: { type: 'string', default: '1800' },
    batch: { type: 'string', default: '43200' },
    cuts: { type: 'string' },
    machine: { type: 'string' },
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
const tell = values.verbose ? (line: string): void => console.log(line) : undefined;
if (values.machine !== undefined) {
  console.log(`seed ${options.seed}, ${values.machine} hours in the machine`);
  const day = await timed(() => runDay({ ...options, hours: Number(values.machine), tell }));
  judge(day.problems, 'A good day.');
}
console.log(`seed ${options.seed}, ${options.days} days`);
const year = await timed(() => runYear({ ...options, tell }));
console.log(year.hash);
if (values.twice) {
  const again = await timed(() => runYear({ ...options, tell }));
  if (again.hash !== year.hash) year.problems.push('the same seed gave another year');
}
judge(year.problems, 'A good year.');

function judge(problems: string[], praise: string): never {
  for (const problem of problems) console.log(`AMISS ${problem}`);
  console.log(problems.length === 0 ? praise : `${problems.length} amiss.`);
  process.exit(problems.length === 0 ? 0 : 1);
}

async function timed<T extends Pick<Year, 'came' | 'figures'>>(run: () => Promise<T>): Promise<T> {
  const startMs = performance.now();
  const before = process.cpuUsage();
  const found = await run();
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify(found.came));
  console.log(JSON.stringify(found.figures));
  const seconds = ((performance.now() - startMs) / 1000).toFixed(0);
  console.log(`${seconds} s, ${((user + system) / 1e6).toFixed(0)} of this process's processor time`);
  return found;
}
