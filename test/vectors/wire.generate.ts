// Writes test/vectors/wire.json: payloads with their bytes, and bytes that must be refused.
// Run by hand (`node test/vectors/wire.generate.ts`) when the format changes, which needs a reason
// in docs/decisions/: meters in the field speak what is kept here.

import { writeFileSync } from 'node:fs';
import * as wire from '../../firmware/wire.ts';

const base = { ...wire.emptyRecord(), firstSeq: 7, lastSeq: 7, bootId: 2, uptimeS: 900 };
const named = { ...base, unixS: 1795000000, timeState: 2, energyMicroWh: 5_000_000_000 };
const later = {
  ...named,
  ...{ firstSeq: 8, lastSeq: 8, uptimeS: 1800, unixS: 1795000900, energyMicroWh: 5_001_250_000 },
  ...{ minMilliW: 4200, meanMilliW: 5000, maxMilliW: 6100, upS: 900, wanInBytes: 123_456 },
};
const merged = { ...later, firstSeq: 9, lastSeq: 12, uptimeS: 5400, flags: wire.FLAG.merged };
const huge = { ...base, energyMicroWh: 2 ** 51 - 1, wanOutBytes: 2 ** 51 - 1 };

const cases = [
  { name: 'first contact, one record', records: [base], previous: null, gaps: [] },
  { name: 'two records', records: [named, later], previous: 'ab'.repeat(32), gaps: [] },
  { name: 'merged, with a gap', records: [named, later, merged], previous: 'cd'.repeat(32),
    gaps: [{ firstSeq: 3, lastSeq: 6 }] },
  { name: 'largest counters, falling', records: [huge, { ...base, firstSeq: 8, lastSeq: 8 },
    { ...huge, firstSeq: 9, lastSeq: 9 }], previous: null, gaps: [] },
  { name: 'names the key that signs next', records: [named], previous: 'ab'.repeat(32), gaps: [],
    successor: '000000010000000b00000007' + '1a'.repeat(16) + '7c'.repeat(24) },
  { name: 'a gap, and the key that signs next', records: [named, later, merged],
    previous: 'cd'.repeat(32), gaps: [{ firstSeq: 3, lastSeq: 6 }],
    successor: '000000010000000a00000007' + '2b'.repeat(16) + '8d'.repeat(24) },
];

const payloads = cases.map(({ name, successor = null, ...rest }) => {
  const own = { meterId: '0102030405060708', firmwareHash: 'ef'.repeat(32), successor };
  const payload = { ...own, ...rest };
  const out = { bytes: new Uint8Array(4096), at: 0 };
  wire.encodePayload(out, {
    ...payload,
    meterId: bytes(payload.meterId),
    firmwareHash: bytes(payload.firmwareHash),
    previous: payload.previous === null ? null : bytes(payload.previous),
    successor: successor === null ? null : bytes(successor),
  });
  return { name, payload, hex: Buffer.from(out.bytes.slice(0, out.at)).toString('hex') };
});

const one = payloads[0].hex;
const refused = [
  { name: 'nothing', hex: '', code: 'truncated' },
  { name: 'cut short', hex: one.slice(0, -2), code: 'truncated' },
  { name: 'a byte too many', hex: `${one}00`, code: 'map-key' },
  { name: 'an array instead of a map', hex: `84${one.slice(2)}`, code: 'cbor-type' },
  { name: 'an indefinite map', hex: `bf${one.slice(2)}`, code: 'not-canonical' },
  { name: 'a long form of a small number', hex: one.replace('0294', '02941800').slice(0, -4),
    code: 'not-canonical' },
  { name: 'a meter id of seven bytes', hex: one.replace('0148', '0147'), code: 'size' },
  { name: 'members counted wrong', hex: `a5${one.slice(2)}`, code: 'map-size' },
  // The second record's delta says that its time state changes, by nothing.
  { name: 'a change of zero', hex: payloads[1].hex.replace('56d8a702', '57f8a702')
    .replace('880e880ea0cb', '880e880e00a0cb'), code: 'not-canonical' },
  { name: 'a successor of 51 bytes', hex: payloads[4].hex.replace('075834', '075833').slice(0, -2),
    code: 'size' },
  { name: 'a successor where gaps belong', hex: payloads[4].hex.replace('075834', '065834'),
    code: 'cbor-type' },
  { name: 'a byte after the successor', hex: `${payloads[5].hex}00`, code: 'trailing' },
  { name: 'the successor not counted', hex: `a4${payloads[4].hex.slice(2)}`, code: 'map-size' },
  { name: 'keys out of order', hex: one.replace('a401', 'a402'), code: 'map-key' },
];

writeFileSync(
  new URL('wire.json', import.meta.url),
  `${JSON.stringify({ payloads, refused }, undefined, 1)}\n`,
);

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}
