// Erases what the bench keeps secret of one kit, and proves that it no longer opens: the leaflet,
// wherever it was written, and the kit's secrets. May be cut off anywhere and said again.

import type { Workbench } from '../bench/workbench.ts';
import type { Kit } from '../campaign/campaign.ts';
import { eraseDurably } from '../campaign/durable.ts';
import { KitError } from '../errors.ts';

/** What no program can take back. */
export const beyondReach =
  'Beyond its reach are backups and snapshots of the campaign’s folder, what a flash drive keeps of' +
  ' overwritten blocks, and what a printer remembers.';

/** @throws KitError `erasure-unproven` */
export async function eraseKit(
  kit: Kit,
  { record, secrets }: Pick<Workbench, 'record' | 'secrets'>,
): Promise<void> {
  for (const { detail } of record.history(kit.name).filter(({ step }) => step === 'leaflet')) {
    if (typeof detail['pdf'] === 'string') await eraseDurably(detail['pdf']);
  }
  await secrets.erase(kit);
  const opened = await secrets.kit(kit).then(
    () => 'they open',
    (error: unknown) => (error instanceof KitError ? error.code : String(error)),
  );
  if (opened === 'kit-handed-over') return;
  throw new KitError({
    code: 'erasure-unproven',
    message: `The bench’s secrets of ${kit.name} were erased, and yet are not gone`,
    expected: 'files that no longer open',
    got: opened,
    hint: 'Look at secrets/ beside the campaign and at its permissions; then say it again.',
  });
}
