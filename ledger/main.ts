// `ledger`: the command line of the Commons Ledger. Turns words into calls and whatever they throw
// into words and an exit status: 0 done, 1 failed, 2 usage. What a command does stands in its own
// file.

import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { askAdmin, formatVolunteerKey, parseVolunteerKey } from './admin.ts';
import type { AdminTask } from './admin.ts';
import { audit } from './audit/audit.ts';
import { keepAudit } from './audit/kept.ts';
import { formatReport } from './audit/report.ts';
import type { PublicFiles } from './audit/source.ts';
import { folderFiles, webFiles } from './audit/source.ts';
import { parseClock, REAL_CLOCK } from './clock.ts';
import { LedgerError } from './errors.ts';
import type { Ledger } from './ledger.ts';
import { openLedger } from './ledger.ts';
import { formatVkey, SIGNATURE_TYPE, verifierKey } from './log/note.ts';
import { signingKey } from './log/ed25519.ts';
import { formatLogPolicy, parsePolicy } from './log/policy.ts';
import { readOwnerKey } from './owner-key.ts';
import { ask, parseMeterId, parseSpan, parseWish } from './owner.ts';
import { serveLedger } from './server.ts';
import { readLogKey } from './store.ts';
import type { Streams, Terminal } from './terminal.ts';
import { report, terminal } from './terminal.ts';
import { createVerifiers } from './verifiers.ts';
import type { Collector } from './witness/collect.ts';
import { createCollector, witnessesOf } from './witness/collect.ts';
import { serveWitness } from './witness/serve.ts';
import { openWitness } from './witness/witness.ts';

const DEFAULT_DIR = 'ledger-data';
const DEFAULT_PORT = '8750';
const DEFAULT_WITNESS_DIR = 'witness-data';
const DEFAULT_WITNESS_PORT = '8751';
/** A witness that was gone is asked again after this, also while nothing is appended. */
const ASK_AGAIN_MS = 60_000;

/** Runs one command; resolves to the exit status. */
export async function main(argv: readonly string[], streams: Streams = process): Promise<number> {
  const io = terminal(streams);
  const status = { code: 0 };
  const program = new Command('ledger')
    .description('The Commons Ledger: a public log of what homes measure, and its audit.')
    .showHelpAfterError('(see ledger --help)')
    .exitOverride();
  const commands = [
    serveCommand(io), admitCommand(io), backupCommand(io), auditCommand(io, status), rebuildCommand(io),
    policyCommand(io), witnessCommand(io), eraseCommand(io), askCommand(io),
  ];
  for (const command of commands) program.addCommand(command.exitOverride());
  for (const command of [program, ...commands]) {
    command.configureOutput({ writeOut: io.write, writeErr: io.warn });
  }
  try {
    await program.parseAsync(argv, { from: 'user' });
    return status.code;
  } catch (error) {
    return report(io, error, argv.includes('--json'));
  }
}

interface ServeFlags {
  dir: string;
  port: string;
  listenUnix?: string;
  origin?: string;
  policy?: string;
  clock?: string;
  afterPause?: boolean;
  json?: boolean;
}

function serveCommand(io: Terminal): Command {
  return new Command('serve')
    .description('takes batches, keeps the log, answers questions, shows the page')
    .option('--dir <DIR>', 'the ledger’s folder, made if new', DEFAULT_DIR)
    .option('--port <N>', 'TCP port on loopback; 0: the system chooses', DEFAULT_PORT)
    .option('--listen-unix <PATH>', 'serve on a Unix socket as well')
    .option('--origin <O>', 'the log’s name, at the first start; it keeps it')
    .option('--policy <FILE>', 'collect cosignatures from this policy’s witnesses')
    .option('--clock <START_MS,REAL_START_MS,RATE>', 'for try-outs: a clock that runs faster')
    .option('--after-pause', 'take the clock’s word: nothing came for more than a month')
    .option('--json', 'say where it listens as one JSON line')
    .action(async (flags: ServeFlags) => {
      const port = parsePort(flags.port);
      const clock = flags.clock === undefined ? REAL_CLOCK : parseClock(flags.clock);
      const policy = flags.policy === undefined ? undefined : parsePolicy(readPolicy(flags.policy));
      const { dir, origin, listenUnix, afterPause } = flags;
      const stopped = untilSignal();
      const verifiers = createVerifiers(availableParallelism());
      const { verify } = verifiers;
      const options = { dir, clock, origin, verify, afterPause, onProblem: io.say };
      const isNamed = origin !== undefined || existsSync(join(dir, 'secrets.db'));
      const ledger = await openLedger(options);
      if (!isNamed) io.warn(`${nameless(ledger.store.keys.origin)}\n`);
      let stopAsking = (): void => {};
      try {
        if (policy !== undefined) {
          const collector = createCollector(ledger.log, witnessesOf(policy));
          stopAsking = await keepCollecting(io, ledger, collector);
        }
        const server = await serveLedger(ledger, { port, listenUnix, onProblem: io.say });
        const { vkey } = ledger.log();
        sayListening(io, flags, { port: server.port!, origin: ledger.store.keys.origin, vkey });
        await stopped;
        await server.close();
      } finally {
        stopAsking();
        await ledger.close();
        await verifiers.close();
      }
    });
}

function nameless(origin: string): string {
  return `note: this log is called ${origin}, for life: good for a try-out.\n`
    + '  hint:     Begin a new folder with --origin NAME, such as ledger.example/commons.';
}

/**
 * Asks the witnesses now, after each append, and now and then. Throws LedgerError
 * `witness-disagrees` at the start: a ledger that was put back to an older state must not go on.
 */
async function keepCollecting(
  io: Terminal,
  ledger: Ledger,
  collector: Collector,
): Promise<() => void> {
  const ask = async (): Promise<void> => {
    for (const { error } of await collector.collect()) if (error !== undefined) io.say(error);
  };
  for (const { error } of await collector.collect()) {
    if (error instanceof LedgerError && error.code === 'witness-disagrees') throw error;
    if (error !== undefined) io.say(error);
  }
  ledger.onAppend(() => void ask());
  const timer = setInterval(() => void ask(), ASK_AGAIN_MS);
  return () => clearInterval(timer);
}

interface WitnessFlags {
  dir: string;
  port: string;
  name?: string;
  policy: string;
  json?: boolean;
}

function witnessCommand(io: Terminal): Command {
  return new Command('witness')
    .description('cosigns other ledgers’ checkpoints after checking that each only grew')
    .requiredOption('--policy <FILE>', 'the logs to witness (c2sp.org/tlog-policy)')
    .option('--dir <DIR>', 'the witness’s folder, made if new', DEFAULT_WITNESS_DIR)
    .option('--name <NAME>', 'the witness’s key name, at the first start; it keeps it')
    .option('--port <N>', 'TCP port on loopback; 0: the system chooses', DEFAULT_WITNESS_PORT)
    .option('--json', 'say where it listens as one JSON line')
    .action(async ({ dir, name, json, ...flags }: WitnessFlags) => {
      const logs = parsePolicy(readPolicy(flags.policy)).logs.map(({ key }) => key);
      const stopped = untilSignal();
      const nowS = (): number => Math.floor(REAL_CLOCK.nowMs() / 1000);
      const witness = openWitness({ dir, name, logs, nowS });
      try {
        const { vkey } = witness;
        const options = { port: parsePort(flags.port), onProblem: io.say };
        const { port, close } = await serveWitness(witness, options);
        const url = `http://127.0.0.1:${port}/`;
        if (json) io.print(JSON.stringify({ type: 'listening', url, port, vkey }));
        else io.print(`Witness at ${url} for ${logs.length} logs; its key: ${vkey}`);
        await stopped;
        await close();
      } finally {
        witness.close();
      }
    });
}

function admitCommand(io: Terminal): Command {
  return new Command('admit')
    .description('lets a volunteer enrol kits')
    .argument('<key>', 'the volunteer’s public key: commons-volunteer-ed25519:BASE64')
    .option('--dir <DIR>', 'the ledger’s folder', DEFAULT_DIR)
    .option('--json', 'print one JSON document')
    .action(async (text: string, { dir, json }: { dir: string; json?: boolean }) => {
      const key = parseVolunteerKey(text);
      // A misspelt folder is no new ledger.
      readLogKey(dir);
      const here = (ledger: Ledger): Promise<{ isNew: boolean }> => ledger.admit(key);
      const { isNew } = await hereOrThere(io, dir, here, ['admit', formatVolunteerKey(key)]);
      const human = isNew ? 'Admitted.' : 'Admitted already; nothing changed.';
      io.print(json ? JSON.stringify({ isNew }) : human);
    });
}

function backupCommand(io: Terminal): Command {
  return new Command('backup')
    .description('copies a ledger, serving or not, to a new folder that can be served as it is')
    .argument('<to>', 'the new folder')
    .option('--dir <DIR>', 'the ledger’s folder', DEFAULT_DIR)
    .option('--json', 'print one JSON document')
    .action(async (to: string, { dir, json }: { dir: string; json?: boolean }) => {
      readLogKey(dir);
      const path = resolve(to);
      const here = (ledger: Ledger): Promise<{ files: number }> => ledger.backUp(path);
      const { files } = await hereOrThere(io, dir, here, ['backup', path]);
      io.print(json ? JSON.stringify({ files, to: path }) : `${files} public files, and the rest.`);
    });
}

function eraseCommand(io: Terminal): Command {
  return new Command('erase')
    .description('erases a meter’s batches without its owner’s word; the log says that they were')
    .argument('<meter>', 'its id, 16 hex digits')
    .argument('<from>', 'received from this date on: 2026-11-01, or a time in RFC 3339')
    .argument('<to>', 'and before this one')
    .option('--dir <DIR>', 'the ledger’s folder', DEFAULT_DIR)
    .option('--json', 'print one JSON document')
    .action(async (meter: string, from: string, to: string, flags: { dir: string; json?: boolean }) => {
      const { dir, json } = flags;
      readLogKey(dir);
      const [id, span] = [parseMeterId(meter), parseSpan([from, to])];
      const here = (ledger: Ledger): Promise<Erased> => ledger.erase(id, span);
      const body = JSON.stringify({ meter, ...span });
      const { index, batches } = await hereOrThere(io, dir, here, ['erase', body]);
      const human = `${batches} batches erased; entry ${index} says so. Backups hold them still.`;
      io.print(json ? JSON.stringify({ index, batches }) : human);
    });
}

type Erased = Awaited<ReturnType<Ledger['erase']>>;

interface AskFlags {
  key: string;
  ledger: string;
  publish?: string;
  erase?: string[];
  disclose?: string[];
  json?: boolean;
}

function askCommand(io: Terminal): Command {
  return new Command('ask')
    .description('a kit’s owner changes what is published, has it erased, or disclosed after all')
    .argument('<meter>', 'its id, 16 hex digits')
    .requiredOption('--ledger <URL>', 'the ledger')
    .requiredOption('--key <FILE>', 'the owner’s key as the leaflet has it; -: standard input')
    .option('--publish <WHAT>', 'from now on: none, batch, hour, day')
    .option('--erase <DATES...>', 'what was received from one date on and before another')
    .option('--disclose <DATES...>', 'the same, and make it public')
    .option('--json', 'print one JSON document')
    .action(async (meter: string, flags: AskFlags) => {
      const [meterId, wish] = [parseMeterId(meter), parseWish(flags)];
      if (flags.key === '-' && process.stdin.isTTY) io.warn('The owner’s key, as on the leaflet:\n');
      const key = await readOwnerKey(flags.key, process.stdin);
      const granted = await ask(flags.ledger, key, { meterId, wish });
      const concerns = wish.what === 'publish' ? '' : `, for ${granted.batches} batches`;
      io.print(flags.json ? JSON.stringify(granted) : `Done${concerns}: entry ${granted.index}.`);
    });
}

/** Does it in this process, or asks the one that serves the ledger. */
async function hereOrThere<T>(
  io: Terminal,
  dir: string,
  here: (ledger: Ledger) => Promise<T>,
  there: [what: AdminTask, body: string],
): Promise<T> {
  try {
    const ledger = await openLedger({ dir, clock: REAL_CLOCK, onProblem: io.say });
    return await here(ledger).finally(ledger.close);
  } catch (error) {
    if (!(error instanceof LedgerError) || error.code !== 'ledger-in-use') throw error;
    return await askAdmin<T>(join(dir, 'admin.sock'), ...there);
  }
}

interface AuditFlags {
  structure?: boolean;
  state?: string;
  policy?: string;
  json?: boolean;
}

function auditCommand(io: Terminal, status: { code: number }): Command {
  return new Command('audit')
    .description('verifies a log from its public files and a policy that you hold')
    .argument('<source>', 'a URL, a ledger’s folder, or its public folder')
    .option('--policy <FILE>', 'the keys that you trust (c2sp.org/tlog-policy)')
    .option('--state <FILE>', 'go on where the audit that is kept there ended; made if new')
    .addOption(new Option('--structure',
      'of a log that is no Commons Ledger: checkpoint, cosignatures, tiles alone').conflicts('state'))
    .option('--json', 'print one JSON document')
    .action(async (source: string, flags: AuditFlags) => {
      const { structure: structureOnly, state } = flags;
      const bytes = flags.policy === undefined ? undefined : readPolicy(flags.policy);
      const policy = bytes && parsePolicy(bytes);
      const nowMs = (): number => performance.now();
      const kept = state === undefined ? undefined : keepAudit(state, { policy: bytes, nowMs });
      const found = await audit(filesOf(source), { policy, structureOnly, kept });
      io.print(flags.json ? JSON.stringify(found, undefined, 2) : formatReport(found));
      status.code = found.ok ? 0 : 1;
    });
}

function rebuildCommand(io: Terminal): Command {
  return new Command('rebuild')
    .description('grows every projection again, from the log and the private store')
    .option('--dir <DIR>', 'the ledger’s folder', DEFAULT_DIR)
    .option('--json', 'print one JSON document')
    .action(async ({ dir, json }: { dir: string; json?: boolean }) => {
      readLogKey(dir);
      const ledger = await openLedger({ dir, clock: REAL_CLOCK, freshProjections: true });
      const entries = ledger.log().size();
      await ledger.close();
      const human = `Projections grown again from ${entries} entries.`;
      io.print(json ? JSON.stringify({ entries }) : human);
    });
}

function policyCommand(io: Terminal): Command {
  return new Command('policy')
    .description('prints a tlog-policy file for this ledger’s key: hand it to auditors')
    .option('--dir <DIR>', 'the ledger’s folder', DEFAULT_DIR)
    .action(({ dir }: { dir: string }) => {
      const { origin, logSeed } = readLogKey(dir);
      const { publicKey } = signingKey(logSeed);
      const vkey = formatVkey(verifierKey(origin, SIGNATURE_TYPE.ed25519, publicKey));
      io.write(formatLogPolicy(vkey));
    });
}

function filesOf(source: string): PublicFiles {
  if (/^https?:\/\//.test(source)) return webFiles(source);
  const folders = [join(source, 'public'), source];
  const dir = folders.find((folder) => existsSync(join(folder, 'checkpoint')));
  if (dir !== undefined) return folderFiles(dir);
  const expected = 'a URL, or a folder with a checkpoint';
  const parts = { code: 'no-log', message: 'No log here', expected, got: source };
  throw new LedgerError({ ...parts, exitCode: 2 });
}

function readPolicy(path: string): Uint8Array {
  try {
    return new Uint8Array(readFileSync(path));
  } catch (cause) {
    const got = (cause as Error).message;
    const parts = { code: 'no-policy', message: 'The policy cannot be read', got, cause };
    throw new LedgerError({ ...parts, exitCode: 2 });
  }
}

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port < 65_536) return port;
  const parts = { code: 'bad-port', message: 'Port refused', expected: '0 to 65535', got: text };
  throw new LedgerError({ ...parts, exitCode: 2 });
}

function sayListening(
  io: Terminal,
  { json, listenUnix }: ServeFlags,
  { port, origin, vkey }: { port: number; origin: string; vkey: string },
): void {
  const url = `http://127.0.0.1:${port}/`;
  if (json) io.print(JSON.stringify({ type: 'listening', url, port, listenUnix, origin, vkey }));
  else io.print([`Ledger ${origin} at ${url}`, listenUnix].filter(Boolean).join(' and '));
}

/** Resolves at the first SIGTERM or SIGINT; a second one ends the process at once. */
function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve());
    process.once('SIGINT', () => resolve());
  });
}

if (import.meta.main) {
  // Whoever read us is gone (`ledger --help | head -1`): what was begun is finished all the same.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
  process.exitCode = await main(process.argv.slice(2));
}
