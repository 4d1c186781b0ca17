// Starts the system's tools for the image builder, through zx. A tool dies with the process that
// started it (parent-death signal), so that a killed build leaves nothing running.

import { $ } from 'zx';
import { KitError } from '../errors.ts';

export interface RunOptions {
  /** What people call the tool, when argv starts with something else. */
  name?: string;
  env?: Record<string, string>;
  input?: string;
  /** Called with each line that the tool prints to stderr. */
  onErrorLine?: (line: string) => void;
  /** Ends the tool. */
  signal?: AbortSignal;
  /** What ends it: TERM (default) for tools that tidy up, KILL for those that need not. */
  endWith?: 'SIGTERM' | 'SIGKILL';
}

const packageOf: Record<string, string> = {
  mmdebstrap: 'mmdebstrap',
  newuidmap: 'uidmap',
  tar: 'tar',
  setpriv: 'util-linux',
  unshare: 'util-linux',
  'apt-get': 'apt',
};

/** Ordinary users of Debian have no sbin in their path. */
const path = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;

/** What the tool printed. @throws KitError `tool-failed`, with the last lines it had to say. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const { endWith = 'SIGTERM' } = options;
  const shell = $({
    quiet: true,
    nothrow: true,
    killSignal: endWith,
    env: { ...process.env, PATH: path, LC_ALL: 'C.UTF-8', TZ: 'UTC', ...options.env },
    signal: options.signal,
    input: options.input ?? '',
  });
  const child = shell`exec setpriv --pdeathsig ${endWith.slice(3)} -- ${[...argv]}`;
  if (options.onErrorLine) forEachLine(child.stderr, options.onErrorLine);
  const result = await child;
  if (result.exitCode === 0) return result.stdout;
  options.signal?.throwIfAborted();
  const said = result.stderr.trim().split('\n').slice(-8).join('\n');
  throw new KitError({
    code: 'tool-failed',
    message: `${options.name ?? argv[0].split('/').at(-1)} failed`,
    expected: 'exit status 0',
    got: `${result.signal ?? `exit status ${result.exitCode}`}: ${said}`,
    hint: said.includes('No space left on device')
      ? 'Free some space and build again.'
      : 'Mend what it complains about, and say the same again.',
  });
}

function forEachLine(stream: NodeJS.ReadableStream, visit: (line: string) => void): void {
  let rest = '';
  stream.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString('utf8')).split('\n');
    rest = lines.pop() ?? '';
    lines.forEach(visit);
  });
}

/** @throws KitError `tool-missing` unless all of them are installed. */
export async function requireTools(names: readonly string[]): Promise<void> {
  const shell = $({ quiet: true, nothrow: true, env: { ...process.env, PATH: path } });
  const found = await Promise.all(names.map((name) => shell`command -v ${name}`));
  const absent = names.filter((_, index) => found[index].exitCode !== 0);
  if (absent.length === 0) return;
  throw new KitError({
    code: 'tool-missing',
    message: 'tools that build images are not installed',
    expected: names.join(', '),
    got: `no ${absent.join(', ')}`,
    hint: `Run: apt-get install ${absent.map((name) => packageOf[name] ?? name).join(' ')}`,
  });
}
