// Takes a meter's key back at the ledger: a retirement, signed by the volunteer who enrolled the
// meter (docs/ledger.md draws the bytes), posted, and its entry seen in the log by its inclusion in
// a signed checkpoint. The same bytes may be sent again: nothing is half done.

import { createHash } from 'node:crypto';

import { decode, encode, rfc8949EncodeOptions } from 'cborg';

import type { Workbench } from '../bench/workbench.ts';
import { parseLogKey } from '../campaign/log-key.ts';
import { signAsVolunteer } from '../campaign/volunteer-sign1.ts';
import { openCheckpoint } from '../check/log/checkpoint.ts';
import { readEntry, rootWith, type ReadTile } from '../check/log/tiles.ts';
import { KitError } from '../errors.ts';
import { describeLedger, postRetirement, readLogFile, type Fetch } from './ledger-client.ts';

const RETIREMENT_CONTEXT = 'commons-kit/retirement';
/** Of an entry (ledger's type 10): what it is, whose, and of which paper. */
const ENTRY = { type: 1, meter: 3, paper: 4, retired: 10 } as const;

export interface RetiredMeter {
  /** 16 hex digits. */
  meter: string;
  /** Of the ledger's log; null: the ledger never enrolled this meter. */
  entry: number | null;
  /** The checkpoint's key is the one that the campaign holds; else it is the ledger's word. */
  vouched: boolean;
}

/**
 * @param ledgerUrl where the bench reaches the ledger, if not where the meter does
 * @throws KitError `ledger-…`, `retirement-unproven`
 */
export async function retireMeter(
  meter: string,
  { campaign, identity }: Pick<Workbench, 'campaign' | 'identity'>,
  { ledgerUrl, fetch }: { ledgerUrl?: string; fetch: Fetch },
): Promise<RetiredMeter> {
  const url = ledgerUrl ?? campaign.ledger;
  const { vkey } = await describeLedger(url, campaign.ledgerOrigin, { fetch });
  const { ledgerKey } = campaign;
  if (vkey === undefined) throw unproven('the verifier key of its log', 'none');
  if (ledgerKey !== undefined && ledgerKey !== vkey) throw unproven(ledgerKey, vkey);
  const paper = signAsVolunteer(retirementPayload(campaign.ledgerOrigin, meter), identity);
  const vouched = ledgerKey !== undefined;
  const entry = await postRetirement(url, paper, { fetch });
  if (entry === undefined) return { meter, entry: null, vouched };
  const read: ReadTile = (path) => readLogFile(url, path, { fetch });
  await seeEntry(entry.index, { meter, paper, logKey: vkey, read });
  return { meter, entry: entry.index, vouched };
}

function retirementPayload(origin: string, meter: string): Uint8Array {
  const id = new Uint8Array(Buffer.from(meter, 'hex'));
  const members = new Map<number, unknown>([[1, RETIREMENT_CONTEXT], [2, origin], [3, id]]);
  return encode(members, rfc8949EncodeOptions);
}

/** That the log has this very retirement, by its tiles and a checkpoint under `logKey`. */
async function seeEntry(
  index: number,
  { meter, paper, logKey, read }: {
    meter: string;
    paper: Uint8Array;
    logKey: string;
    read: ReadTile;
  },
): Promise<void> {
  const place = `entry ${index} in the log, under its key`;
  try {
    const key = parseLogKey(logKey);
    if (key === undefined) throw new Error(`${logKey} is no key of a log`);
    const { sizeEntries, root } = openCheckpoint(await read('checkpoint'), key);
    const entry = await readEntry({ index, sizeEntries }, read);
    const said: unknown = decode(new Uint8Array(entry), { useMaps: true });
    const member = (at: number): unknown => (said instanceof Map ? said.get(at) : undefined);
    const hash = createHash('sha256').update(paper).digest('hex');
    const isOurs = member(ENTRY.type) === ENTRY.retired && hexOf(member(ENTRY.meter)) === meter
      && hexOf(member(ENTRY.paper)) === hash;
    if (!isOurs) throw new Error(`entry ${index} is another`);
    const found = await rootWith(entry, { index, sizeEntries }, read);
    if (!found.equals(root)) throw new Error(`entry ${index} does not lead to the log’s root`);
  } catch (cause) {
    if (cause instanceof KitError) throw cause;
    throw unproven(place, (cause as Error).message, cause);
  }
}

function hexOf(value: unknown): string | undefined {
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : undefined;
}

function unproven(expected: string, got: string, cause?: unknown): KitError {
  return new KitError({
    code: 'retirement-unproven',
    message: 'The ledger does not prove that it took the meter’s key back',
    ...{ expected, got, cause },
    hint: 'Keep what you saw, and ask the ledger’s operator: `ledger audit` tells more.',
  });
}
