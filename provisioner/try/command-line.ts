// Runs the project's own commands the way a volunteer would, as processes of their own, and turns
// their JSON events into progress and their JSON errors back into errors.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { KitError, type KitErrorParts } from '../errors.ts';

export interface CommandRun {
  /** `kit` or `ledger`. */
  program: 'kit' | 'ledger';
  words: string[];
  /** Options of the program itself, before the words. */
  global?: string[];
  /** Puts the command elsewhere: into the trial home. */
  enter?: (command: string[]) => string[];
  onProgress?: (text: string) => void;
  signal: AbortSignal;
  /** Its standard input; by default it has none. */
  input?: string;
  /** Exit statuses that are answers; the result then stands whatever it says. */
  accept?: number[];
}

export interface CommandOutcome {
  status: number;
  /** The command's one JSON document. */
  result: any;
  /** Standard output as it was, for commands that print text. */
  text: string;
}

const SCRIPTS = { kit: '../kit.ts', ledger: '../../ledger/main.ts' };

/** @throws KitError the command's own, or `command-failed` with its last words */
export async function runCommand(run: CommandRun): Promise<CommandOutcome> {
  const script = fileURLToPath(new URL(SCRIPTS[run.program], import.meta.url));
  const here = ['setpriv', '--pdeathsig', 'KILL'];
  const command = [process.execPath, script, ...(run.global ?? []), ...run.words];
  const [program, ...words] = run.enter ? run.enter(command) : [...here, ...command];
  const child = spawn(program, words, { stdio: ['pipe', 'pipe', 'pipe'] });
  // A command that ends without reading is told by its status.
  child.stdin.on('error', () => {});
  child.stdin.end(run.input ?? '');
  const ended = new Promise<number | null | Error>((resolve) => {
    child.once('close', resolve);
    child.on('error', resolve);
  });
  const stop = (): void => void child.kill('SIGTERM');
  run.signal.addEventListener('abort', stop, { once: true });
  const heard: { result?: any; error?: KitErrorParts; text: string; last: string } = {
    text: '',
    last: '',
  };
  child.stderr.on('data', (chunk) => (heard.last = (heard.last + chunk).slice(-4000)));
  for await (const line of createInterface({ input: child.stdout })) {
    heard.text += `${line}\n`;
    const event = parse(line);
    if (event === undefined) continue;
    if (event.error) heard.error = event.error;
    else if (event.type === 'result') heard.result = event.result;
    else if (typeof event.text === 'string') run.onProgress?.(event.text);
  }
  const status = await ended;
  run.signal.removeEventListener('abort', stop);
  if (typeof status === 'number' && (run.accept ?? [0]).includes(status)) {
    return { status, result: heard.result ?? parse(heard.text), text: heard.text };
  }
  run.signal.throwIfAborted();
  if (heard.error) throw new KitError(heard.error);
  throw new KitError({
    code: 'command-failed',
    message: `${run.program} ${run.words.slice(0, 2).join(' ')} did not succeed`,
    expected: `exit status ${(run.accept ?? [0]).join(' or ')}`,
    got: `${status}: ${heard.last.trim() || heard.text.slice(-2000).trim()}`,
  });
}

/** A line is an event if it is a JSON object; text is passed over. */
function parse(line: string): any {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined; // a person's line that begins with a brace
  }
}
