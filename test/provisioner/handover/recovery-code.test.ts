import { randomBytes } from 'node:crypto';

import test from 'ava';

import { makeRecoveryCodes, readRecoveryCode } from '../../../provisioner/handover/recovery-code.ts';

test('eight of them, no two alike, each of three words', (t) => {
  const codes = makeRecoveryCodes((sizeBytes) => new Uint8Array(randomBytes(sizeBytes)));
  t.is(new Set(codes).size, 8);
  for (const code of codes) {
    t.is(readRecoveryCode(` ${code.toUpperCase().replaceAll('-', ' ')}\r\n`), code);
    t.is(code.length, 19);
  }
});
