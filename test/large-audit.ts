// `npm run test:audit [-- METERS [FIRST]]`: the audit of a log with a hundred thousand batches. It must
// pass, and fail for each kind of tampering, from the first or FIRST on. Says how long; exits 1 if one
// goes unnoticed.

import { hash } from 'node:crypto';
import { audit } from '../ledger/audit/audit.ts';
import { encodeEntry } from '../ledger/entry.ts';
import { parsePolicy } from '../ledger/log/policy.ts';
import { verifyHss } from '../ledger/verify/lms.ts';
import { createLargeLog, inMemory, publish } from './helpers/large-log.ts';
import { TAMPERINGS } from './helpers/tamperings.ts';

const BATCHES_EACH = 1_430;
const [meters = 70, first = 1] = process.argv.slice(2).map(Number);

const log = await createLargeLog(meters, BATCHES_EACH);
const policy = parsePolicy(Buffer.from(log.policy));
const files = publish(log.entries.map(encodeEntry), log.blobs);
const startMs = performance.now();
const sound = await audit(inMemory(files), { policy });
const seconds = (performance.now() - startMs) / 1000;
const { entries: { batches }, blobs } = sound;
console.log(`${batches} batches, ${blobs.disclosed} signed blobs: audited in ${seconds.toFixed(1)} s, ` +
  `${(process.memoryUsage().rss / 1e6).toFixed(0)} MB`);
if (!sound.ok) {
  console.log(`FAILED before any change: ${JSON.stringify(sound.findings.slice(0, 3))}`);
  process.exit(1);
}

/** The real check, done once for the same key, message and signature. */
const answers = new Map<string, boolean>();
const remembering: typeof verifyHss = (...parts) => {
  const name = parts.map((part) => hash('sha256', part)).join();
  const answer = answers.get(name) ?? verifyHss(...parts);
  answers.set(name, answer);
  return answer;
};
let missed = 0;
const kinds = TAMPERINGS.slice(first - 1);
for (const { name, finding, apply } of kinds) {
  const { ok, findings } = await audit(inMemory(apply(log, files)), { policy, verify: remembering });
  const isFound = !ok && findings.some(({ code }) => code === finding);
  if (!isFound) missed++;
  console.log(`${isFound ? 'found ' : 'MISSED'}  ${finding.padEnd(18)} ${name}`);
}
console.log(`${kinds.length - missed} of ${kinds.length} kinds of tampering found, `
  + `of ${TAMPERINGS.length} that there are`);
process.exitCode = missed === 0 ? 0 : 1;
