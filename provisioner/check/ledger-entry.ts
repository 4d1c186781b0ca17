// That the kit's entries stand in the ledger's log: its enrolment, and its meter's last batch. Each
// is hashed up to the root of a checkpoint signed by the key that the campaign holds. Pure: whoever
// calls brings the log's public files.

import { decode } from 'cborg';

import { parseLogKey } from '../campaign/log-key.ts';
import { attempt, failed, ok, unknown, type Check } from './finding.ts';
import { openCheckpoint } from './log/checkpoint.ts';
import { readEntry, rootWith, type ReadTile } from './log/tiles.ts';

export interface EntriesDeps {
  /** Its id, 16 hex digits. */
  meter: string;
  /** Where its entries are said to stand. */
  indices: number[];
  /** From campaign.toml. */
  ledgerKey: string | undefined;
  /** What the ledger shows as its own. */
  shownKey: string;
  /** `checkpoint`, and tiles. */
  read: ReadTile;
}

const name = 'ledger-entry';

export async function checkEntries(deps: EntriesDeps): Promise<Check> {
  const { ledgerKey, shownKey, indices } = deps;
  if (ledgerKey === undefined) {
    const advice = 'Set ledger_key in campaign.toml to the key that its operator confirms.';
    return unknown(name, 'not proven: the campaign holds no key of the log', advice);
  }
  if (shownKey !== ledgerKey) {
    const advice = 'Ask its operator, over another way than the net: this may be another ledger.';
    return failed(name, `the ledger shows another key, ${shownKey}`, advice);
  }
  if (indices.length === 0) {
    return unknown(name, 'no entry of this kit is known', 'Wait for the meter’s first batch.');
  }
  const advice = 'Keep what you saw, and ask the ledger’s operator: `ledger audit` tells more.';
  return attempt(name, advice, () => proveEntries(ledgerKey, deps));
}

async function proveEntries(
  ledgerKey: string,
  { meter, indices, read }: EntriesDeps,
): Promise<Check> {
  const { sizeEntries, root } = openCheckpoint(await read('checkpoint'), parseLogKey(ledgerKey)!);
  for (const index of indices) {
    const place = { index, sizeEntries };
    const entry = await readEntry(place, read);
    const whose = meterOf(entry);
    if (whose !== meter) throw new Error(`entry ${index} is ${whose ?? 'no meter'}’s`);
    if (!(await rootWith(entry, place, read)).equals(root)) {
      throw new Error(`entry ${index} does not lead to the root of the log of ${sizeEntries}`);
    }
  }
  const list = indices.join(' and ');
  return ok(name, `entries ${list} proven in a signed log of ${sizeEntries}`);
}

/** Every entry about a meter is a CBOR map that has its id under 3 (docs/wire.md). */
function meterOf(entry: Buffer): string | undefined {
  const map: unknown = decode(new Uint8Array(entry), { useMaps: true });
  const id = map instanceof Map ? map.get(3) : undefined;
  return id instanceof Uint8Array && id.length === 8 ? Buffer.from(id).toString('hex') : undefined;
}
