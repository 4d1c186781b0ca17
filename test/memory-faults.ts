// `npm run test:memory [-- STRIDE]`: spoils each transfer of a meter's life with its memory in turn, in
// every way that a line can, and holds what comes of it against what must be true. A stride of 10
// takes every tenth. A quarter of an hour for all, on one core.
import { lineFaults, type LineFaultName } from '../provisioner/virtual/line-faults.ts';
import { liveWith } from './helpers/bad-memory.ts';

const stride = Number(process.argv[2] ?? 1);
if (!Number.isInteger(stride) || stride < 1) {
  console.error('usage: npm run test:memory [-- STRIDE]');
  process.exit(2);
}
const kinds = Object.keys(lineFaults(Math.random)) as LineFaultName[];
const sound = await liveWith({ kind: 'silent', isBad: () => false, seed: 1 });
const transfers = sound.meter.transfers();
let [lives, wrong] = [0, 0];
for (let bad = 0; bad < transfers; bad += stride) {
  for (const kind of kinds) {
    const life = await liveWith({ kind, isBad: (transfer) => transfer === bad, seed: 1 });
    lives++;
    if (life.problems.length === 0) continue;
    wrong++;
    console.log(`${kind} at transfer ${bad}: ${life.problems.join('; ')}`);
  }
}
console.log(`${lives} lives of ${transfers} transfers, ${kinds.length} kinds: ${wrong} wrong`);
process.exit(wrong === 0 ? 0 : 1);
