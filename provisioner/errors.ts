// The errors that a person at the bench meets. Every one has a closed code, what was expected and
// got, and the next thing to try. This file owns the shape and the printing, never the wording.

export interface KitErrorParts {
  /** Closed, kebab-case, stable: scripts may match it. */
  code: string;
  /** One sentence, no trailing full stop: what could not be done. */
  message: string;
  expected?: string;
  got?: string;
  /** The next thing to try, as an imperative sentence. */
  hint?: string;
  /** 1 failed (default), 2 the command line or a file that the user wrote is wrong. */
  exitCode?: 1 | 2;
  cause?: unknown;
}

/** An error that is the user's to read: thrown by preflight and proof, printed by the command line. */
export class KitError extends Error {
  readonly code: string;
  readonly expected: string | undefined;
  readonly got: string | undefined;
  readonly hint: string | undefined;
  readonly exitCode: 1 | 2;

  constructor(parts: KitErrorParts) {
    super(parts.message, { cause: parts.cause });
    this.name = 'KitError';
    this.code = parts.code;
    this.expected = parts.expected;
    this.got = parts.got;
    this.hint = parts.hint;
    this.exitCode = parts.exitCode ?? 1;
  }

  toJSON(): Record<string, string> {
    const { code, message, expected, got, hint } = this;
    const parts = { code, message, expected, got, hint };
    return Object.fromEntries(
      Object.entries(parts).filter((pair): pair is [string, string] => pair[1] !== undefined),
    );
  }
}

/** What the system said no to (a folder that is not there, a full disk), as the user's to read. */
export function refusalOfSystem(error: unknown): KitError | undefined {
  const { syscall, path } = (error ?? {}) as NodeJS.ErrnoException;
  if (syscall === undefined || path === undefined) return undefined;
  return new KitError({
    code: 'refused-by-system',
    message: `The system refused to ${syscall} ${path}`,
    expected: 'a path that is there, may be used, and has room',
    got: systemWords(error as NodeJS.ErrnoException),
    hint: 'Check the path, its permissions, and the room on its disk.',
    cause: error,
  });
}

/** `ENOENT: no such file or directory`: what the system said, without what it was asked. */
export function systemWords({ message, code }: NodeJS.ErrnoException): string {
  return message.split(', ', 1)[0] || String(code);
}

/** The lines that the terminal shows for any thrown value; a foreign error keeps its own words. */
export function describeError(error: unknown): string {
  if (!(error instanceof KitError)) return `error: ${foreignMessage(error)}`;
  const lines = [`error[${error.code}]: ${error.message}`];
  if (error.expected !== undefined) lines.push(`  expected: ${error.expected}`);
  if (error.got !== undefined) lines.push(`  got:      ${error.got}`);
  if (error.hint !== undefined) lines.push(`  hint:     ${error.hint}`);
  return lines.join('\n');
}

function foreignMessage(error: unknown): string {
  if (error instanceof Error) return error.stack ?? error.message;
  return String(error);
}
