// Prices for tests of the ledger, signed as the bench signs them; wrong ones too.

import { encode, rfc8949EncodeOptions } from 'cborg';
import { ALG, encodeHeader, encodeSign1, encodeSigStructure } from '../../firmware/wire.ts';
import { written } from './meter.ts';
import type { TestVolunteer } from './meter.ts';

export interface PriceOptions {
  origin?: string;
  currency?: string;
  milliMinorPerKWh?: number;
  validFrom?: string;
  zone?: string;
  /** Puts members wrong, or others in. */
  change?: (payload: Map<number, unknown>) => void;
}

/** 31.45 cents from the first day of the test meters on, in Berlin. */
export function priceBytes(volunteer: TestVolunteer, options: PriceOptions = {}): Uint8Array {
  const payload = new Map<number, unknown>([
    [1, 'commons-kit/price'],
    [2, options.origin ?? 'ledger.test/commons'],
    [3, options.currency ?? 'EUR'],
    [4, options.milliMinorPerKWh ?? 31_450],
    [5, options.validFrom ?? '2026-01-01'],
    [6, options.zone ?? 'Europe/Berlin'],
  ]);
  options.change?.(payload);
  const bytes = encode(payload, rfc8949EncodeOptions);
  const header = written((out) => encodeHeader(out, ALG.ed25519, volunteer.publicKey));
  const covered = written((out) => encodeSigStructure(out, header, bytes));
  return written((out) => encodeSign1(out, header, bytes, volunteer.sign(covered)));
}
