// Trust policies, by https://c2sp.org/tlog-policy: which logs and witnesses an auditor believes,
// and how many of them must have signed a checkpoint. The auditor holds the file; a log never
// supplies it.
//
//   log <vkey> [<url>]                 witness <name> <vkey> [<url>]
//   group <name> all|any|<k> <name>…   quorum none|<name>             # comments

import { LedgerError } from '../errors.ts';
import { encodeBase64 } from './base64.ts';
import type { Checkpoint } from './checkpoint.ts';
import { parseCheckpoint } from './checkpoint.ts';
import { verifyCheckpointSignature } from './cosignature.ts';
import type { OpenedNote, VerifierKey } from './note.ts';
import { openNote, parseVkey, SIGNATURE_TYPE } from './note.ts';

/** The specification wants at least 32 of each to be taken. */
const MAX_LINES = 1_000;

interface Group {
  threshold: number;
  members: string[];
}

export interface Policy {
  logs: { key: VerifierKey; url: string | undefined }[];
  witnesses: Map<string, { key: VerifierKey; url: string | undefined }>;
  groups: Map<string, Group>;
  /** A witness, a group, or `none`. */
  quorum: string;
}

/** Reads a policy file. Throws LedgerError `malformed-policy`, naming the line. */
export function parsePolicy(bytes: Uint8Array): Policy {
  // § Character set: octets; Latin-1 keeps each one apart and opaque.
  const text = Buffer.from(bytes).toString('latin1');
  const lines = text.split('\n');
  if (lines.pop() !== '') throw malformed(lines.length + 1, 'a newline at the end', 'none');
  if (lines.length > MAX_LINES) throw malformed(MAX_LINES, `at most ${MAX_LINES} lines`, 'more');
  const draft: Draft = { logs: [], witnesses: new Map(), groups: new Map(), quorum: undefined };
  const used = new Set<string>();
  for (const [index, line] of lines.entries()) {
    if (/[^\t\x20-\x7e\x80-\xff]/.test(line)) {
      throw malformed(index + 1, 'no control characters', JSON.stringify(line));
    }
    const words = line.split(/[ \t]+/).filter((word) => word !== '');
    if (words.length === 0 || words[0].startsWith('#')) continue;
    readLine(draft, used, words, index + 1);
  }
  if (draft.quorum === undefined) throw malformed(lines.length, 'a quorum line', 'none');
  return { ...draft, quorum: draft.quorum };
}

/** A policy that trusts one log and asks for no witnesses. */
export function formatLogPolicy(vkey: string, url?: string): string {
  return `log ${vkey}${url === undefined ? '' : ` ${url}`}\nquorum none\n`;
}

export interface VerifiedCheckpoint extends Checkpoint {
  note: OpenedNote;
  /** Names, in the policy, of the witnesses that cosigned. */
  cosignedBy: string[];
}

/**
 * Verifies a checkpoint against a policy: signed by one of its logs under that log's own origin,
 * and cosigned as its quorum asks. Throws LedgerError as openNote and parseCheckpoint do;
 * `wrong-origin`, `unknown-log` or `no-quorum`.
 */
export function verifyCheckpoint(bytes: Uint8Array, policy: Policy): VerifiedCheckpoint {
  const witnesses = [...policy.witnesses].map(([name, { key }]) => ({ name, key }));
  const trusted = [...policy.logs, ...witnesses].map(({ key }) => key);
  const note = openNote(bytes, trusted, verifyCheckpointSignature);
  const checkpoint = parseCheckpoint(note.text);
  const signers = new Set(note.verified.map(({ key }) => key));
  const log = policy.logs.find(({ key }) => signers.has(key));
  if (log === undefined) {
    const expected = policy.logs.map(({ key }) => key.name).join(' or ');
    const got = checkpoint.origin;
    throw new LedgerError({ code: 'unknown-log', message: 'Checkpoint refused', expected, got });
  }
  if (!policy.logs.some(({ key }) => signers.has(key) && key.name === checkpoint.origin)) {
    const [expected, got] = [log.key.name, checkpoint.origin];
    throw new LedgerError({ code: 'wrong-origin', message: 'Checkpoint refused', expected, got });
  }
  const cosignedBy = witnesses.filter(({ key }) => signers.has(key)).map(({ name }) => name);
  if (!reachesQuorum(policy, new Set(cosignedBy))) {
    const expected = `cosignatures reaching quorum "${policy.quorum}"`;
    const got = cosignedBy.join(', ') || 'none';
    throw new LedgerError({ code: 'no-quorum', message: 'Checkpoint refused', expected, got });
  }
  return { ...checkpoint, note, cosignedBy };
}

/** Whether the witnesses that signed are enough. */
export function reachesQuorum(
  { groups, quorum }: Pick<Policy, 'groups' | 'quorum'>,
  cosignedBy: ReadonlySet<string>,
): boolean {
  if (quorum === 'none') return true;
  const witnessed = (name: string): boolean => {
    const group = groups.get(name);
    if (group === undefined) return cosignedBy.has(name);
    return group.members.filter(witnessed).length >= group.threshold;
  };
  return witnessed(quorum);
}

type Draft = Omit<Policy, 'quorum'> & { quorum: string | undefined };

function readLine(draft: Draft, used: Set<string>, words: string[], line: number): void {
  const [keyword, ...rest] = words;
  if (keyword === 'log') readLog(draft, rest, line);
  else if (keyword === 'witness') readWitness(draft, rest, line);
  else if (keyword === 'group') readGroup(draft, used, rest, line);
  else if (keyword === 'quorum') readQuorum(draft, rest, line);
  else throw malformed(line, 'log, witness, group or quorum', keyword);
}

function readLog(draft: Draft, words: string[], line: number): void {
  if (words.length < 1 || words.length > 2) throw malformed(line, 'log <vkey> [<url>]', 'other');
  const key = readKey(words[0], SIGNATURE_TYPE.ed25519, line);
  noDuplicate(draft.logs, key, line);
  draft.logs.push({ key, url: words[1] });
}

function readWitness(draft: Draft, words: string[], line: number): void {
  if (words.length < 2 || words.length > 3) {
    throw malformed(line, 'witness <name> <vkey> [<url>]', 'other');
  }
  const key = readKey(words[1], SIGNATURE_TYPE.cosignatureV1, line);
  noDuplicate([...draft.witnesses.values()], key, line);
  draft.witnesses.set(newName(draft, words[0], line), { key, url: words[2] });
}

function readGroup(draft: Draft, used: Set<string>, words: string[], line: number): void {
  const [name, amount, ...members] = words;
  if (members.length === 0) throw malformed(line, 'group <name> all|any|<k> <name>…', 'no member');
  const counts: Record<string, number> = { all: members.length, any: 1 };
  const threshold = /^[1-9][0-9]{0,3}$/.test(amount) ? Number(amount) : (counts[amount] ?? 0);
  if (threshold < 1 || threshold > members.length) {
    throw malformed(line, `all, any or 1 to ${members.length}`, amount);
  }
  for (const member of members) {
    if (!isDefined(draft, member)) throw malformed(line, 'names defined above', member);
    if (used.has(member)) throw malformed(line, 'each name in one group, once', member);
    used.add(member);
  }
  draft.groups.set(newName(draft, name, line), { threshold, members });
}

function readQuorum(draft: Draft, words: string[], line: number): void {
  if (draft.quorum !== undefined) throw malformed(line, 'one quorum line', 'a second');
  const [name] = words;
  if (words.length !== 1 || (name !== 'none' && !isDefined(draft, name))) {
    throw malformed(line, 'quorum none, or a name defined above', words.join(' '));
  }
  draft.quorum = name;
}

function readKey(vkey: string, type: number, line: number): VerifierKey {
  let key: VerifierKey;
  try {
    key = parseVkey(vkey);
  } catch (cause) {
    const parts = { code: 'malformed-policy', message: `Policy refused, line ${line}` };
    throw new LedgerError({ ...parts, expected: 'a vkey', got: vkey, exitCode: 2, cause });
  }
  if (key.type !== type) throw malformed(line, `a key of type ${type}`, `type ${key.type}`);
  return key;
}

/** § Public key representation: the same key under another name is a duplicate too. */
function noDuplicate(entries: { key: VerifierKey }[], key: VerifierKey, line: number): void {
  const bytes = encodeBase64(key.publicKey);
  if (entries.some((entry) => encodeBase64(entry.key.publicKey) === bytes)) {
    throw malformed(line, 'each public key once', bytes);
  }
}

function newName(draft: Draft, name: string, line: number): string {
  if (name === 'none' || isDefined(draft, name)) throw malformed(line, 'a name not yet used', name);
  return name;
}

function isDefined(draft: Draft, name: string): boolean {
  return draft.witnesses.has(name) || draft.groups.has(name);
}

function malformed(line: number, expected: string, got: string): LedgerError {
  const message = `Policy refused, line ${line}`;
  return new LedgerError({ code: 'malformed-policy', message, expected, got, exitCode: 2 });
}
