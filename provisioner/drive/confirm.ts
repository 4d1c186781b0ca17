// Asks before anything is erased: shows every drive with what is on it, and takes only "yes".

import { createInterface } from 'node:readline/promises';
import type { Readable, Writable } from 'node:stream';

import { KitError } from '../errors.ts';
import { printable } from '../terminal.ts';
import type { FlashPlan } from './job.ts';
import { sizeText } from './size.ts';
import type { Wipe } from './wipe.ts';

export interface Asking {
  /** `--yes`: the person has looked already. */
  yes: boolean;
  /** Whether there is a person to ask. */
  interactive: boolean;
  input: Readable;
  output: Writable;
  /** What happens to them after a yes; by default they are written anew. */
  question?: string;
}

/** @throws KitError `not-confirmed`, `confirmation-needed` */
export async function confirmErasure(plans: FlashPlan[], asking: Asking): Promise<void> {
  refuseUnasked(plans, asking);
  if (asking.yes) return;
  asking.output.write(`${printable(planText(plans))}\n`);
  const lines = createInterface({ input: asking.input, output: asking.output });
  // Without this, a question that nobody will answer (Ctrl-D, Ctrl-C) would wait for ever.
  const hungUp = new AbortController();
  lines.once('close', () => hungUp.abort());
  const { signal } = hungUp;
  try {
    const { question = 'Erase and write these?' } = asking;
    const answer = await lines.question(`${question} Type yes: `, { signal }).catch(() => '');
    if (answer.trim().toLowerCase() !== 'yes') throw refused(answer);
  } finally {
    lines.close();
  }
}

/** @throws KitError `confirmation-needed` where nobody has agreed, nor could be asked */
export function refuseUnasked(
  plans: FlashPlan[], { yes, interactive }: Pick<Asking, 'yes' | 'interactive'>,
): void {
  if (!yes && !interactive) throw needed(plans);
}

/**
 * The same for a kit's drive that is to be wiped; one that the record does not know as its takes a
 * person who was shown it.
 * @throws KitError `drive-unknown`, and those of {@link confirmErasure}
 */
export async function confirmWipe(
  { plan, known }: Pick<Wipe, 'plan' | 'known'>, asking: Asking,
): Promise<void> {
  if (asking.yes && !known) throw unknown(plan);
  await confirmErasure([plan], { ...asking, question: 'Wipe all of it?' });
}

/** What would happen, for a person. */
export function planText(plans: FlashPlan[]): string {
  return plans.map(planLines).flat().join('\n');
}

function planLines(plan: FlashPlan): string[] {
  const { kit, drive, kind, sizeBytes, model, serial, contents, note } = plan;
  const what = [model, serial && `serial ${serial}`, sizeText(sizeBytes)].filter(Boolean);
  const fate = contents === '' ? 'nothing seen on it' : `ERASES ${contents}`;
  return [
    `${kit} → ${drive}`,
    `    ${kind === 'file' ? 'a file standing for a drive, ' : ''}${what.join(', ')}`,
    `    ${fate}`,
    ...(note === undefined ? [] : [`    ${note}`]),
  ];
}

function needed(plans: FlashPlan[]): KitError {
  return new KitError({
    code: 'confirmation-needed',
    message: 'Nobody is there to be asked whether these drives may be erased',
    expected: 'a terminal, or --yes',
    got: planText(plans).replace(/\n */g, '; '),
    hint: 'Look at the drives with `kit drives`, then add --yes.',
    exitCode: 2,
  });
}

function unknown({ drive, kit, serial }: FlashPlan): KitError {
  return new KitError({
    code: 'drive-unknown',
    message: `${drive} is not known as ${kit}’s, and will not be wiped without asking`,
    expected: `a drive that the record has as written for ${kit}`,
    got: serial === '' ? 'one without a serial number' : `serial ${serial}`,
    hint: 'Look at `kit drives`; then say it in a terminal, without --yes.',
    exitCode: 2,
  });
}

function refused(answer: string): KitError {
  return new KitError({
    code: 'not-confirmed',
    message: 'Nothing was erased',
    expected: 'yes',
    got: answer.trim() === '' ? 'no answer' : answer.trim().slice(0, 40),
    hint: 'Look at the drives with `kit drives`, then say it again.',
  });
}
