// `kit retire`: a kit that serves no longer. The bench erases what it keeps secret of it and never
// makes it anew; what it cannot do from here (the meter's key, the drive) it says.

import type { Workbench } from '../bench/workbench.ts';
import type { Kit } from '../campaign/campaign.ts';
import { eraseKit } from './erase.ts';

export interface Retirement {
  /** 16 hex digits, if it was ever paired. */
  meter: string | undefined;
  /** The path, and the serial number where it has one, of each drive that was written for it. */
  drives: { drive: string; serial: string | undefined }[];
  handedOver: boolean;
}

/** What is known of a kit that is to be retired. Changes nothing. */
export function retirementOf(kit: Kit, { record }: Pick<Workbench, 'record'>): Retirement {
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  const written = record
    .history(kit.name)
    .filter(({ step, status }) => step === 'flash' && status === 'done')
    .map(({ detail }) => ({ drive: text(detail['drive']) ?? '?', serial: text(detail['serial']) }));
  // Written twice, it is one drive.
  const drives = [...new Map(written.map((one) => [`${one.drive} ${one.serial}`, one])).values()];
  return {
    meter: text(record.lastDone(kit.name, 'pair')?.detail['meter']),
    drives,
    handedOver: record.lastDone(kit.name, 'handover') !== undefined,
  };
}

/** What will happen, and what a person has left to do. */
export function retirementText(kit: Kit, { meter, drives, handedOver }: Retirement): string {
  const drive = drives.map(({ drive: path, serial }) => (serial ? `${path}, serial ${serial}` : path));
  return [
    `${kit.name} retires: the bench erases what it keeps secret of it, for good, and makes no kit of that name again.`,
    'What is not done by this:',
    ...(handedOver ? ['  - The drive holds its owner’s posts and keys: it is theirs to keep or to wipe.'] : []),
    ...(drive.length > 0 && !handedOver
      ? ['  - Its drive still lets the bench in, and holds keys: it is to be wiped.']
      : []),
    ...(drive.length > 0 ? [`  - Written for it were: ${drive.join('; ')}.`] : []),
    ...(meter === undefined
      ? []
      : [
          `  - Meter ${meter}: no ledger takes a key back on request yet. Unplugged it falls silent, and says no more.`,
        ]),
  ].join('\n');
}

/** @param reason in the volunteer's words, recorded @throws KitError `erasure-unproven` */
export async function retireKit(
  kit: Kit,
  bench: Pick<Workbench, 'record' | 'secrets'>,
  reason: string | undefined,
): Promise<Retirement> {
  const { record } = bench;
  const retirement = retirementOf(kit, bench);
  const { meter, drives } = retirement;
  const detail = {
    ...(meter !== undefined && { meter }),
    drives: drives.map(({ drive, serial }) => ({ drive, serial: serial ?? null })),
    ...(reason !== undefined && { reason }),
  };
  record.start(kit.name, 'retire', detail);
  try {
    await eraseKit(kit, bench);
    record.done(kit.name, 'retire', detail);
    return retirement;
  } catch (error) {
    record.fail(kit.name, 'retire', error);
    throw error;
  }
}
