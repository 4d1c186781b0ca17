// Effects: what must follow when files change (reload this, load that). A run may be cut off
// between the file and its effect, and then the file no longer differs; so an effect leaves a stamp, the
// digest of all it depends on, and is due whenever the stamp is another. Pure.

import { createHash } from 'node:crypto';

import { type Fact } from '../fact.ts';
import type { Secret } from '../secret.ts';
import { digestOf, type FileWrite, type Step, type StepFailure } from '../step.ts';

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

const stampFolder = '/var/lib/commons-kit/applied';

export type Stamps = Record<string, string>;

export const stamps: Fact<Stamps> = {
  script: `cd ${stampFolder} && grep -H . * || true`,
  parse: (text) =>
    Object.fromEntries(
      text
        .split('\n')
        .map((line) => line.split(':'))
        .filter((parts) => parts.length === 2),
    ),
};

/** The effect's step, when it is due. */
export function effect(wanted: Effect, stamped: Stamps): Step[] {
  const digest = dependencyDigest(wanted);
  const stale = stamped[wanted.id] === undefined ? 'not done yet' : 'what it depends on changed';
  const because = wanted.amiss ?? (stamped[wanted.id] === digest ? undefined : stale);
  if (because === undefined) return [];
  const { name, input, timeoutS, failures } = wanted;
  const command = `${wanted.command}\n${stamp(wanted.id, digest)}`;
  return [{ name, because, command, input, timeoutS, failures }];
}

function dependencyDigest({ command, dependsOn }: Effect): string {
  if (dependsOn === 'once') return 'once';
  const parts = dependsOn.map((part) =>
    typeof part === 'string' ? part : `${part.path} ${digestOf(part.content)}`,
  );
  return createHash('sha256').update([command, ...parts].join('\n')).digest('hex');
}

/** In place by rename, so that a stamp is whole or absent. */
function stamp(id: string, digest: string): string {
  return [
    `mkdir -p ${stampFolder}`,
    `echo ${digest} >${stampFolder}/.new`,
    `mv -f ${stampFolder}/.new ${stampFolder}/${id}`,
  ].join('\n');
}
