// `kit retire`: a kit that serves no longer. The bench erases what it keeps secret of it and never
// makes it anew, takes its meters' keys back at the ledger, and wipes its drive if it is told to.
// Each part is done whatever becomes of the others, and may be done again; what is left is said.

import { decodeSign1 } from '../../firmware/wire.ts';
import type { Detail } from '../bench/record.ts';
import type { Workbench } from '../bench/workbench.ts';
import type { Kit } from '../campaign/campaign.ts';
import type { Wipe, Wiped } from '../drive/wipe.ts';
import { KitError } from '../errors.ts';
import { retireMeter, type RetiredMeter } from '../meter/retirement.ts';
import { eraseKit } from './erase.ts';

export interface Retirement {
  /** 16 hex digits each: every meter that was ever enrolled for it, or nearly. */
  meters: string[];
  /** The path, and the serial number where it has one, of each drive that was written for it. */
  drives: { drive: string; serial: string | undefined }[];
  handedOver: boolean;
}

export interface Retired extends Retirement {
  retiredMeters: RetiredMeter[];
  /** Undefined where nobody asked for it. */
  wiped: Wiped | undefined;
}

export interface RetireDeps {
  fetch: typeof fetch;
  /** Where the bench reaches the ledger, if not where meters do. */
  ledgerUrl?: string;
  report(text: string): void;
}

/** What is known of a kit that is to be retired. Changes nothing. */
export function retirementOf(kit: Kit, { record }: Pick<Workbench, 'record'>): Retirement {
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  const done = record.history(kit.name).filter(({ status }) => status === 'done');
  const detailsOf = (wanted: string): Detail[] =>
    done.filter(({ step }) => step === wanted).map(({ detail }) => detail);
  const written = detailsOf('flash')
    .map((detail) => ({ drive: text(detail['drive']) ?? '?', serial: text(detail['serial']) }));
  // Written twice, it is one drive.
  const drives = [...new Map(written.map((one) => [`${one.drive} ${one.serial}`, one])).values()];
  const paired = detailsOf('pair').map((detail) => text(detail['meter']));
  // Of a pairing that was cut off, the ledger may have what the bench was not told of any more.
  const stated = detailsOf('enrolment').map(statedMeter);
  const meters = [...paired, ...stated].filter((meter) => meter !== undefined);
  return {
    meters: [...new Set(meters)],
    drives,
    handedOver: record.lastDone(kit.name, 'handover') !== undefined,
  };
}

/** Whose statement an enrolment was made of: its key id. */
function statedMeter(detail: Detail): string {
  const { kid } = decodeSign1(new Uint8Array(Buffer.from(String(detail['statement']), 'hex')));
  return Buffer.from(kid ?? []).toString('hex');
}

/** What will happen, and what a person has left to do. */
export function retirementText(
  kit: Kit, { meters, drives, handedOver }: Retirement, { wipes = false } = {},
): string {
  const drive = drives.map(({ drive: path, serial }) => (serial ? `${path}, serial ${serial}` : path));
  const left = [
    ...(handedOver && !wipes
      ? ['  - The drive holds its owner’s posts and keys: it is theirs to keep or to wipe.']
      : []),
    ...(drive.length > 0 && !handedOver && !wipes
      ? ['  - Its drive still lets the bench in, and has keys: plug it in, and say --wipe DEVICE.']
      : []),
    ...(drive.length > 0 ? [`  - Written for it were: ${drive.join('; ')}.`] : []),
  ];
  return [
    `${kit.name} retires: the bench erases what it keeps secret of it, for good, and makes no kit`
      + ' of that name again.',
    ...meters.map((meter) => `The ledger will take nothing more of meter ${meter}, for good.`),
    ...(handedOver && meters.length > 0 ? ['The meter is its owner’s: has the owner agreed?'] : []),
    ...(left.length === 0 ? [] : ['What is not done by this:', ...left]),
  ].join('\n');
}

/**
 * @param reason in the volunteer's words, recorded
 * @throws KitError `erasure-unproven`, those of wiping; `meter-not-retired`; `retire-unfinished`
 *   for more than one
 */
export async function retireKit(
  kit: Kit,
  bench: Pick<Workbench, 'campaign' | 'identity' | 'record' | 'secrets'>,
  { reason, wipe, deps }: { reason?: string; wipe?: Wipe; deps: RetireDeps },
): Promise<Retired> {
  const { record } = bench;
  const retirement = retirementOf(kit, bench);
  const { meters, drives } = retirement;
  const detail = {
    meters,
    drives: drives.map(({ drive, serial }) => ({ drive, serial: serial ?? null })),
    ...(reason !== undefined && { reason }),
  };
  record.start(kit.name, 'retire', detail);
  try {
    await eraseKit(kit, bench);
    const failures: KitError[] = [];
    const retiredMeters = await retireMeters(kit, meters, { bench, deps, failures });
    const wiped = await wipe?.run().catch((error: unknown) => {
      if (!(error instanceof KitError)) throw error;
      failures.push(error);
      return undefined;
    });
    refuseUnfinished(kit, failures);
    const entries = retiredMeters.map(({ meter, entry, vouched }) => ({ meter, entry, vouched }));
    record.done(kit.name, 'retire', { ...detail, entries, wiped: wiped?.drive ?? null });
    return { ...retirement, retiredMeters, wiped };
  } catch (error) {
    record.fail(kit.name, 'retire', error);
    throw error;
  }
}

async function retireMeters(
  kit: Kit,
  meters: string[],
  { bench, deps, failures }: {
    bench: Pick<Workbench, 'campaign' | 'identity'>;
    deps: RetireDeps;
    failures: KitError[];
  },
): Promise<RetiredMeter[]> {
  const retired: RetiredMeter[] = [];
  for (const meter of meters) {
    deps.report(`${kit.name}: taking back the key of meter ${meter} at the ledger`);
    try {
      retired.push(await retireMeter(meter, bench, deps));
    } catch (error) {
      if (!(error instanceof KitError)) throw error;
      failures.push(notRetired(kit, meter, error));
    }
  }
  return retired;
}

function notRetired({ name }: Kit, meter: string, cause: KitError): KitError {
  return new KitError({
    code: 'meter-not-retired',
    message: `The ledger still takes what meter ${meter} sends`,
    expected: 'an entry that retires it, proven in the ledger’s log',
    got: `${cause.message} (${cause.code}: ${cause.got ?? cause.expected ?? 'nothing'})`,
    hint: `The bench’s secrets of ${name} are erased. Say kit retire ${name} again when this is`
      + ` mended: ${cause.hint}`,
    cause,
  });
}

function refuseUnfinished({ name }: Kit, failures: KitError[]): void {
  if (failures.length === 1) throw failures[0];
  if (failures.length === 0) return;
  throw new KitError({
    code: 'retire-unfinished',
    message: `The bench’s secrets of ${name} are erased; ${failures.length} things are left to do`,
    expected: 'meters’ keys taken back, and the drive wiped',
    got: failures.map(({ message, code, got }) => `${message} (${code}: ${got})`).join('; '),
    hint: `Say kit retire ${name} again, with --wipe for a drive.`,
    cause: failures[0],
  });
}
