// What a disk says when it cannot take a write, in the words of whoever runs the ledger. The
// kernel's and SQLite's own codes go in; nothing is retried or hidden here.

import { LedgerError } from './errors.ts';

interface Fault {
  code: string;
  expected: string;
  hint: string;
}

const FULL: Fault = {
  code: 'disk-full',
  expected: 'room on the disk of the ledger’s folder',
  hint: 'Make room: the ledger goes on by itself, and meters send again what it refused.',
};
const READ_ONLY: Fault = {
  code: 'disk-read-only',
  expected: 'a folder that can be written',
  hint: 'Look into `dmesg`: Linux turns a damaged file system read-only. Check it, mount it again.',
};
const NO_DESCRIPTORS: Fault = {
  code: 'too-many-files',
  expected: 'a file descriptor',
  hint: 'Raise the limit (`LimitNOFILE=`, `ulimit -n`): 512 connections want 1,024.',
};
const DISK_ERROR: Fault = {
  code: 'disk-error',
  expected: 'a disk that reads and writes',
  hint: 'Look into `dmesg`, and at your backups.',
};

/** errno(3), as Node names it. */
const BY_ERRNO: Record<string, Fault> = {
  ENOSPC: FULL, EDQUOT: FULL, EROFS: READ_ONLY, EMFILE: NO_DESCRIPTORS, ENFILE: NO_DESCRIPTORS,
  EIO: DISK_ERROR,
};
/** https://sqlite.org/rescode.html, primary codes: READONLY, IOERR, FULL. */
const BY_SQLITE: Record<number, Fault> = { 8: READ_ONLY, 10: DISK_ERROR, 13: FULL };

/** The fault that an error tells of, or undefined if it is none of the disk's. */
export function storageFault(cause: unknown): LedgerError | undefined {
  const { code, errcode } = cause as { code?: string; errcode?: number };
  // The upper bytes of SQLite's codes say more than anybody acts upon.
  const fault = errcode === undefined ? BY_ERRNO[code ?? ''] : BY_SQLITE[errcode & 255];
  if (fault === undefined) return undefined;
  const got = (cause as Error).message;
  return new LedgerError({ ...fault, message: 'The ledger cannot write', got, cause });
}
