// Why a step failed, read from its words, where they are those of a fault that a person can mend:
// a disk that filled up meanwhile, a network that is not there. Steps run with LC_ALL=C, so the
// words are those of the C library, apt, curl and GnuTLS as they are written. Pure.

import type { StepFailure } from './step.ts';

interface KnownFailure extends StepFailure {
  says: RegExp;
}

/** In this order: what is said first of several is often but the consequence of another. */
const known: KnownFailure[] = [
  {
    code: 'disk-full',
    says: /No space left on device|Disk quota exceeded|no room: \d+ KB needed/,
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
    says: /is not valid yet|not yet valid|Release file .* is expired|certificate has expired/i,
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
    code: 'mirror-unreachable',
    says: /^E: Failed to fetch|^W: Failed to fetch|Unable to connect to|Could not connect to/m,
    expected: 'Debian’s mirror to answer',
    hint: 'Try again later, or name another mirror in the node’s /etc/apt/sources.list.d.',
  },
];

/** What is known of such words; undefined where nothing is. */
export function knownFailure(output: string): StepFailure | undefined {
  const found = known.find(({ says }) => says.test(output));
  return found && { code: found.code, expected: found.expected, hint: found.hint };
}
