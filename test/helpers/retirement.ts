// Retirements for tests of the ledger, signed as the bench signs them; wrong ones too.

import { encode, rfc8949EncodeOptions } from 'cborg';
import { ALG, encodeHeader, encodeSign1, encodeSigStructure } from '../../firmware/wire.ts';
import { written } from './meter.ts';
import type { TestVolunteer } from './meter.ts';

export interface RetirementOptions {
  origin?: string;
  /** Puts members wrong, or others in. */
  change?: (payload: Map<number, unknown>) => void;
}

export function retirementBytes(
  volunteer: TestVolunteer, meterId: Uint8Array, options: RetirementOptions = {},
): Uint8Array {
  const payload = new Map<number, unknown>([
    [1, 'commons-kit/retirement'],
    [2, options.origin ?? 'ledger.test/commons'],
    [3, meterId],
  ]);
  options.change?.(payload);
  const bytes = encode(payload, rfc8949EncodeOptions);
  const header = written((out) => encodeHeader(out, ALG.ed25519, volunteer.publicKey));
  const covered = written((out) => encodeSigStructure(out, header, bytes));
  return written((out) => encodeSign1(out, header, bytes, volunteer.sign(covered)));
}
