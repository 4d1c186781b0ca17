// Steps: what is to be done on a node, as values. An operation makes them from desired state and
// facts; the plan prints them; `apply` sends them. Whatever a step does may be done twice, and be
// cut off anywhere: files are replaced whole, and commands are written to be repeated.

import { createHash } from 'node:crypto';

import { Secret } from './secret.ts';

export interface FileWrite {
  path: string;
  /** Octal, as chmod takes it: '0644'. */
  mode: string;
  /** `user:group` */
  owner: string;
  /** Text ending in a line end. */
  content: string | Secret;
}

export interface Step {
  /** An imperative sentence for people: unique within a plan. */
  name: string;
  /** What differs from the desired state, in words. */
  because: string;
  /** Written first, each atomically. */
  files?: FileWrite[];
  /** POSIX shell, run with `set -eu` after the files are in place. */
  command?: string;
  /** The command's standard input: never among its arguments. */
  input?: Secret;
  /** Default 120: generous, since an emulated node is some twenty times slower than a real one. */
  timeoutS?: number;
  /** What exit codes of the command mean, where they mean more than that it failed. */
  failures?: Record<number, StepFailure> | undefined;
}

/** The parts of a KitError that a step can know beforehand. */
export interface StepFailure {
  /** Closed, kebab-case. */
  code: string;
  expected: string;
  hint: string;
}

export const defaultStepTimeoutS = 120;

export interface Plan {
  kit: string;
  kind: string;
  steps: Step[];
}

export function textOf(content: string | Secret): string {
  return content instanceof Secret ? content.reveal() : content;
}

/** SHA-256 as sha256sum prints it. */
export function digestOf(content: string | Secret): string {
  return createHash('sha256').update(textOf(content)).digest('hex');
}

/** All that must never be shown of a plan. */
export function secretsOf(steps: Step[]): Secret[] {
  return steps.flatMap((step) => [
    ...(step.input ? [step.input] : []),
    ...(step.files ?? []).flatMap((file) => (file.content instanceof Secret ? [file.content] : [])),
  ]);
}
