// All that is left to do for one kit, in the order in which a kit is made. Each step knows from the
// record, or from what lies there, whether it is still to be done; so the same words, said again
// after anything was cut off, go on where it was.

import type { StepRecord } from '../bench/record.ts';
import type { Workbench } from '../bench/workbench.ts';
import type { Kit } from '../campaign/campaign.ts';
import { KitError } from '../errors.ts';
import type { Output } from '../terminal.ts';

export const STEP_NAMES = ['image', 'flash', 'configure', 'pair', 'check', 'label'] as const;
export type StepName = (typeof STEP_NAMES)[number];

/** One step of making a kit. */
export interface MakeStep {
  name: StepName;
  /** Why nothing is to be done, in words; undefined when there is. */
  isDone(): Promise<string | undefined>;
  /** Throws what would stop it for certain. Asked, if it is to be done, before any step runs. */
  preflight?(): Promise<void>;
  run(): Promise<void>;
}

export interface MadeStep {
  name: StepName;
  status: 'done' | 'was-done';
}

/**
 * Runs the steps that are not done, up to and with `until`, and stops at the first that fails;
 * at none, if one that is to be done would fail for certain.
 * @throws KitError the failing step's own
 */
export async function makeKit(
  steps: MakeStep[],
  until: StepName,
  output: Output,
): Promise<MadeStep[]> {
  const last = STEP_NAMES.indexOf(until);
  const asked = steps.filter(({ name }) => STEP_NAMES.indexOf(name) <= last);
  for (const step of asked) {
    if ((await step.isDone()) === undefined) await step.preflight?.();
  }
  const made: MadeStep[] = [];
  for (const step of asked) {
    const reason = await step.isDone();
    if (reason === undefined) {
      output.event({ type: 'make-step', step: step.name, text: `${step.name}: to do` });
      await step.run();
    } else {
      output.event({ type: 'make-step', step: step.name, text: `${step.name}: ${reason}` });
    }
    made.push({ name: step.name, status: reason === undefined ? 'done' : 'was-done' });
  }
  return made;
}

/**
 * Whether the record says that this kit is on a drive that is still there. An image that was built
 * anew since is no reason to erase somebody's node: who wants that says `kit flash`.
 * @param drive the one named now, if any @param isThere whether a path leads to a drive or file
 */
export function flashedAlready(
  { record }: Workbench,
  kit: Kit,
  { drive, isThere }: { drive: string | undefined; isThere: (path: string) => boolean },
): string | undefined {
  const last = record.latest(kit.name, 'flash');
  if (last?.status !== 'done') return undefined;
  refuseOtherDrive(kit, last, drive);
  const { kind, drive: written } = last.detail;
  // A drive may be on its way to the node; a file that stands for one is here or gone.
  if (kind === 'file' && !isThere(String(written))) return undefined;
  return `done, on ${written}`;
}

/** A second drive for a kit would be a second node with its keys: that is asked for by name. */
function refuseOtherDrive(kit: Kit, last: StepRecord, drive: string | undefined): void {
  if (drive === undefined || drive === last.detail['drive']) return;
  throw new KitError({
    code: 'kit-on-another-drive',
    message: `${kit.name} is on a drive already`,
    expected: String(last.detail['drive']),
    got: drive,
    hint: `To write it anew, say so: kit flash ${kit.name} --drive ${drive}`,
  });
}
