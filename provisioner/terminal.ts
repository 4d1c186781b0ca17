// What a command prints: lines for people, or JSON for programs, never both on one stream.
// Progress goes to stderr as people read it; with --json the one document, and with
// --json-events one event a line, go to stdout. Knows nothing of what is being done.

import type { Writable } from 'node:stream';

export interface OutputOptions {
  json?: boolean;
  jsonEvents?: boolean;
}

export interface Output {
  /** A line for a person; nothing in JSON modes. */
  say(line: string): void;
  /** Progress of long work: a line for a person (`text`), or one JSON event. */
  event(event: { type: string; text: string } & Record<string, unknown>): void;
  /** The command's outcome, once: `human` for people, `document` for programs. */
  result(document: unknown, human: string): void;
}

/** Chooses the way of printing from the command's options. */
export function createOutput(
  options: OutputOptions,
  streams: { out: Writable; err: Writable } = { out: process.stdout, err: process.stderr },
): Output {
  const line = (stream: Writable, text: string): void => void stream.write(`${text}\n`);
  const forPeople = !options.json && !options.jsonEvents;
  return {
    say: (text) => forPeople && line(streams.out, printable(text)),
    event({ text, ...event }) {
      if (options.jsonEvents) line(streams.out, JSON.stringify({ ...event, text }));
      else if (!options.json) line(streams.err, printable(text));
    },
    result(document, human) {
      if (options.jsonEvents) {
        line(streams.out, JSON.stringify({ type: 'result', result: document }));
      } else if (options.json) line(streams.out, JSON.stringify(document, undefined, 2));
      else if (human !== '') line(streams.out, printable(human));
    },
  };
}

/** Text for a terminal: what a drive, a node or a ledger says of itself may hold orders to it. */
export function printable(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, '\ufffd');
}
