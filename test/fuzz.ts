// `npm run fuzz [-- INPUTS [SEED]]`: ten million spoilt inputs to every reader of strangers' bytes.
// Exits non-zero at the first that crashes one, or that it takes and would write otherwise.

import { createLargeLog } from './helpers/large-log.ts';
import { fuzz } from './helpers/fuzz.ts';
import { chance } from './ledger/ask/homes.ts';

const [inputs = 10_000_000, seed = Date.now() % 2 ** 31] = process.argv.slice(2).map(Number);
console.log(`seed ${seed}`);
const log = await createLargeLog(2, 100);
const startMs = performance.now();
const taken = fuzz(log, inputs, chance(seed));
const seconds = (performance.now() - startMs) / 1000;
console.log(`${inputs} inputs in ${seconds.toFixed(0)} s, none crashed a reader; taken: ${JSON.stringify(taken)}`);
