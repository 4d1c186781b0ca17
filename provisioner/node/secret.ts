// A value that must not be seen: wrapped so that printing, logging or serialising it by mistake
// shows ‹secret›. Only what writes to a node's standard input reveals it.

import { inspect } from 'node:util';

export const secretMark = '‹secret›';

export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself, for the one place that sends it. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return secretMark;
  }

  toJSON(): string {
    return secretMark;
  }

  [inspect.custom](): string {
    return secretMark;
  }
}

/** Shorter ones would also blot out innocent words. */
const redactedFromLength = 6;

/** Foreign text (a command's output) with every secret, and every line of one, blotted out. */
export function redact(text: string, secrets: Secret[]): string {
  const values = secrets.flatMap((secret) => [secret.reveal(), ...secret.reveal().split('\n')]);
  return values
    .map((value) => value.trim())
    .filter((value) => value.length >= redactedFromLength)
    .sort((a, b) => b.length - a.length)
    .reduce((shown, value) => shown.replaceAll(value, secretMark), text);
}
