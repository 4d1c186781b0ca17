// What the command line says, and how: lines for people, JSON, and whatever was thrown as words and an
// exit status. Knows no command.

import type { Writable } from 'node:stream';
import { CommanderError } from 'commander';
import { describeError, LedgerError } from './errors.ts';
import { storageFault } from './storage-fault.ts';

export interface Streams {
  stdout: Writable;
  stderr: Writable;
}

export interface Terminal {
  write(text: string): void;
  warn(text: string): void;
  print(line: string): void;
  /** A failure that no caller hears of. */
  say(error: unknown): void;
}

export function terminal({ stdout, stderr }: Streams): Terminal {
  const write = (text: string): void => void stdout.write(text);
  const warn = (text: string): void => void stderr.write(text);
  return {
    write,
    warn,
    print: (line) => write(`${line}\n`),
    say: (error) => warn(`${describeError(storageFault(error) ?? error)}\n`),
  };
}

/** Says what was thrown; the exit status that it comes to. */
export function report(io: Terminal, error: unknown, json: boolean): number {
  // Commander has printed its own words; help and version are no failure.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const known = storageFault(error) ?? error;
  if (json) {
    const parts = known instanceof LedgerError
      ? known.toJSON()
      : { code: 'internal', message: String(known) };
    io.print(JSON.stringify({ type: 'error', error: parts }));
  } else io.say(known);
  return known instanceof LedgerError ? known.exitCode : 1;
}
