// `npm run speed [-- drives images ledger meter nodes --repeat N]`: prints tables of ratios, ours to what people
// would use instead, and says for each that was wanted whether it is met. Progress goes to stderr.
// Exits 1 when one is missed.

import { measureDrives } from './drives.ts';
import { measureImages } from './images.ts';
import { measureLedger } from './ledger.ts';
import { measureMeter } from './meter.ts';
import { measureNodes } from './nodes.ts';

const tables = {
  ...{ drives: measureDrives, images: measureImages },
  ...{ ledger: measureLedger, meter: measureMeter, nodes: measureNodes },
};

const words = process.argv.slice(2);
const repeatAt = words.indexOf('--repeat');
const repeats = repeatAt < 0 ? 3 : Number(words.splice(repeatAt, 2)[1]);
const unknown = words.filter((word) => !(word in tables));
if (unknown.length > 0 || !Number.isInteger(repeats) || repeats < 1) {
  console.error(`usage: npm run speed [-- ${Object.keys(tables).join(' | ')}] [--repeat N]`);
  process.exit(2);
}

// What was attached or limited is let go as the process ends.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

let met = true;
for (const [name, measure] of Object.entries(tables)) {
  if (words.length > 0 && !words.includes(name)) continue;
  const options = {
    repeats,
    tell: (text: string) => void process.stderr.write(`${text}\n`),
    print: (text: string) => console.log(`${text}\n`),
  };
  met = (await measure(options)) && met;
}
console.log(met ? 'Everything wanted is met.' : 'Not everything wanted is met.');
process.exit(met ? 0 : 1);
