// What one of verifiers.ts's threads runs: signatures in, yes or no out, in the order they came.

import { parentPort } from 'node:worker_threads';
import { verifyHss } from './verify/lms.ts';
import type { SignatureCheck } from './verifiers.ts';

parentPort!.on('message', (checks: SignatureCheck[]) => {
  parentPort!.postMessage(checks.map(({ publicKey, message, signature }) =>
    verifyHss(publicKey, message, signature)));
});
