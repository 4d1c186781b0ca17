// Why a step failed, read from its words, where they are those of a fault that a person can mend:
// a disk that filled up meanwhile, a network that is not there. Steps run with LC_ALL=C, so the
// words are those of the C library, apt, curl and GnuTLS as they are written. Pure.

import { KitError } from '../errors.ts';
import type { StepFailure } from './step.ts';

interface KnownFailure extends StepFailure {
  says: RegExp;
}

/** EIO, EUCLEAN, and what ends a program whose own pages cannot be read (SIGBUS). */
const driveFaulty: KnownFailure = {
  code: 'drive-faulty',
  says: /Input\/output error|Structure needs cleaning|Bus error/,
  expected: 'a drive that gives back what it was given',
  hint: 'Its drive or card fails: flash the kit to another one. What is on it may still be read.',
};

/** In this order: what is said first of several is often but the consequence of another. */
const known: KnownFailure[] = [
  driveFaulty,
  {
    code: 'disk-full',
    says: /No space left on device|Disk quota exceeded|no room: \d+ KB needed|enough free space in/,
    expected: 'room on the node’s drive',
    hint: 'Make room on the node, or flash the kit to a larger drive; then run the command again.',
  },
  {
    code: 'root-read-only',
    says: /Read-only file system/,
    expected: 'a file system that takes writes',
    hint: 'Start the node again: a fault is mended at boot. Then run the command again.',
  },
  {
    code: 'clock-wrong',
    says: /is not valid yet|not yet valid|Release file .* is expired|certificate has expired|Not live until/i,
    expected: 'what is dated to be of the node’s own time',
    hint: 'Compare the node’s clock (`date`) with the bench’s; then run the command again.',
  },
  {
    code: 'node-offline',
    says: /Network is unreachable|No route to host|connect \(101|connect \(113/,
    expected: 'a node with a way to the internet',
    hint: 'Is the router’s line up, and the node on it? Then run the command again.',
  },
  {
    code: 'node-cannot-resolve',
    says: /Temporary failure (?:resolving|in name resolution)|Could not resolve|Name or service not known/i,
    expected: 'a node that can look names up',
    hint: 'Look at the node’s /etc/resolv.conf and the router’s DNS; then run the command again.',
  },
  {
    code: 'mirror-untrue',
    says: /NOSPLIT|does not have a Release file|is not signed|OpenPGP signature verification failed|Hash Sum mismatch|has unexpected size/,
    expected: 'what Debian has signed, from Debian’s mirror',
    hint: 'Does this network ask for a login first, or its DNS lead elsewhere? Else name another mirror.',
  },
  {
    code: 'mirror-unreachable',
    says: /^E: Failed to fetch|^W: Failed to fetch|Unable to connect to|Could not connect to/m,
    expected: 'Debian’s mirror to answer',
    hint: 'Try again later, or name another mirror in the node’s /etc/apt/sources.list.d.',
  },
];

/** What is known of such words; undefined where nothing is. */
export function knownFailure(output: string): StepFailure | undefined {
  const found = known.find(({ says }) => says.test(output));
  return found && partsOf(found);
}

/** @throws KitError `drive-faulty`: what else was told of the node then rests on what was not read */
export function refuseFaultyDrive(kit: string, said: string): void {
  const told = said.split('\n').find((line) => driveFaulty.says.test(line));
  if (told === undefined) return;
  const message = `${kit}’s drive could not be read`;
  throw new KitError({ ...partsOf(driveFaulty), message, got: told.trim() });
}

function partsOf({ code, expected, hint }: KnownFailure): StepFailure {
  return { code, expected, hint };
}
