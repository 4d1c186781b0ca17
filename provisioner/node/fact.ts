// Facts: what is so on a node, each a piece of POSIX shell and a pure parser of what it prints. All
// facts of a node travel as one script and come back as one framed text, so that asking costs a
// single round trip. This file owns the framing; it runs nothing.
//
//   \nMARK begin NAME\n … what the fact printed … \nMARK end EXITCODE\n      for each fact
//   \nMARK done\n                                                            at the end
//
// MARK is fresh for every question: nothing that a fact prints can pass for a frame.

import { KitError } from '../errors.ts';

export interface Fact<T> {
  /** POSIX shell, run as root with no input; changes nothing. What it says aside may show why. */
  script: string;
  /** @param text what it printed, without line ends at the end @throws FactError */
  parse(text: string, exitCode: number): T;
}

/** A fact for every field of `F`. */
export type FactsOf<F> = { [K in keyof F]: Fact<F[K]> };

/** Thrown by parsers: what was expected of the node's answer, and what it said. */
export class FactError extends Error {
  readonly expected: string;
  readonly got: string;

  constructor(expected: string, got: string) {
    super(`expected ${expected}`);
    this.expected = expected;
    this.got = got;
  }
}

/**
 * Everything in one function, called in the last line: a script that arrives cut short is a syntax
 * error to the shell, and nothing of it runs.
 */
export function factScript<F>(facts: FactsOf<F>, mark: string): string {
  const asked = entriesOf(facts).map(
    ([name, fact]) =>
      `printf '\\n${mark} begin ${name}\\n'\n(\n${fact.script}\n) </dev/null\n` +
      `printf '\\n${mark} end %d\\n' $?`,
  );
  return [
    'ask() {',
    'export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    ...asked,
    `printf '\\n${mark} done\\n'`,
    '}',
    'ask',
    '',
  ].join('\n');
}

/** @throws KitError `facts-cut-short`, `fact-unreadable` */
export function readFacts<F>(facts: FactsOf<F>, mark: string, text: string): F {
  const answers = readFrames(mark, text);
  if (!text.endsWith(`\n${mark} done\n`)) throw cutShort(text);
  const values = entriesOf(facts).map(([name, fact]) => {
    const answer = answers.get(name);
    if (answer === undefined) throw cutShort(text);
    return [name, parseFact(name, fact, answer)];
  });
  return Object.fromEntries(values) as F;
}

interface Answer {
  text: string;
  exitCode: number;
}

function readFrames(mark: string, text: string): Map<string, Answer> {
  const answers = new Map<string, Answer>();
  for (const part of text.split(`\n${mark} begin `).slice(1)) {
    const nameEnd = part.indexOf('\n');
    const end = part.lastIndexOf(`\n${mark} end `);
    if (nameEnd < 0 || end < 0) continue;
    const exitCode = Number.parseInt(part.slice(end + `\n${mark} end `.length), 10);
    const printed = part.slice(nameEnd + 1, Math.max(end, nameEnd + 1));
    answers.set(part.slice(0, nameEnd), { text: printed.replace(/\n+$/, ''), exitCode });
  }
  return answers;
}

function parseFact(name: string, fact: Fact<unknown>, answer: Answer): unknown {
  try {
    return fact.parse(answer.text, answer.exitCode);
  } catch (cause) {
    if (!(cause instanceof FactError)) throw cause;
    throw new KitError({
      code: 'fact-unreadable',
      message: `The node's answer about “${name}” makes no sense`,
      expected: cause.expected,
      got: cause.got.slice(0, 200),
      hint: 'Is this the image that the campaign names, and did its first boot end well?',
      cause,
    });
  }
}

function cutShort(text: string): KitError {
  return new KitError({
    code: 'facts-cut-short',
    message: 'The node stopped in the middle of its answer',
    expected: 'an answer with its end',
    got: `${text.length} characters, ending in ${JSON.stringify(text.slice(-60))}`,
    hint: 'Try again; if it persists, look at the node’s disk and memory.',
  });
}

function entriesOf<F>(facts: FactsOf<F>): [string, Fact<unknown>][] {
  return Object.entries(facts as Record<string, Fact<unknown>>);
}
