// Effects: what must follow when files change (reload this, load that). A run may be cut off
// between the file and its effect, and then the file no longer differs; so an effect leaves a stamp, the
// digest of all it depends on, and is due whenever the stamp is another. Somebody may have changed a
// file and had it loaded: writing a file again (script.ts) takes the stamps away of all that depends
// on it. A stamp's first line is the digest, each other one a file that it depends on. Pure.

import { createHash } from 'node:crypto';

import { type Fact } from '../fact.ts';
import { quote, stampFolder } from '../script.ts';
import type { Secret } from '../secret.ts';
import { digestOf, type FileWrite, type Step, type StepFailure } from '../step.ts';
import { differs, type FileStates } from './files.ts';

export interface Effect {
  /** Names the stamp: lower-case letters, digits, hyphens, underscores. */
  id: string;
  /** An imperative sentence. */
  name: string;
  /** All that it depends on; another value makes it due. `once`: only `amiss` does, ever again. */
  dependsOn: (FileWrite | string)[] | 'once';
  /** POSIX shell; safe to repeat. */
  command: string;
  input?: Secret;
  timeoutS?: number;
  failures?: Record<number, StepFailure>;
  /** Why it is due whatever the stamp says: the node as it is now shows it. */
  amiss?: string | undefined;
}

export type Stamps = Record<string, string>;

export const stamps: Fact<Stamps> = {
  script: `cd ${stampFolder} && grep -H -m 1 . * || true`,
  parse: (text) =>
    Object.fromEntries(
      text
        .split('\n')
        .map((line) => line.split(':'))
        .filter((parts) => parts.length === 2),
    ),
};

/** The effect's step, when it is due. */
export function effect(wanted: Effect, facts: { stamps: Stamps; files: FileStates }): Step[] {
  const digest = dependencyDigest(wanted);
  const because = wanted.amiss ?? whyDue(wanted, digest, facts);
  if (because === undefined) return [];
  const { name, input, timeoutS, failures } = wanted;
  const command = `${wanted.command}\n${stamp(wanted.id, [digest, ...pathsOf(wanted)])}`;
  return [{ name, because, command, input, timeoutS, failures }];
}

function whyDue(
  wanted: Effect,
  digest: string,
  { stamps: stamped, files }: { stamps: Stamps; files: FileStates },
): string | undefined {
  const found = stamped[wanted.id];
  if (found === undefined) return 'not done yet';
  const changed = filesOf(wanted).some((file) => differs(file, files[file.path]));
  return found === digest && !changed ? undefined : 'what it depends on changed';
}

function filesOf({ dependsOn }: Effect): FileWrite[] {
  if (dependsOn === 'once') return [];
  return dependsOn.filter((part) => typeof part !== 'string');
}

const pathsOf = (wanted: Effect): string[] => filesOf(wanted).map(({ path }) => path);

function dependencyDigest({ command, dependsOn }: Effect): string {
  if (dependsOn === 'once') return 'once';
  const parts = dependsOn.map((part) =>
    typeof part === 'string' ? part : `${part.path} ${digestOf(part.content)}`,
  );
  return createHash('sha256').update([command, ...parts].join('\n')).digest('hex');
}

/** In place by rename, so that a stamp is whole or absent. */
function stamp(id: string, lines: string[]): string {
  return [
    `mkdir -p ${stampFolder}`,
    `printf '%s\\n' ${lines.map(quote).join(' ')} >${stampFolder}/.new`,
    `mv -f ${stampFolder}/.new ${stampFolder}/${id}`,
  ].join('\n');
}
