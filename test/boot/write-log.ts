// What a drive with a cache of its own may hold after a power cut, made from a record of everything
// that was written to it. QEMU's blklogwrites driver writes the record in the format of Linux's
// dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst; little-endian):
//
//   sector 0:    magic u64  version u64  entries u64  sector size u32
//   each entry:  sector u64  sectors u64  flags u64  length u64, padded to a sector; then its data
//
// A flush makes all before it durable. After the last one, the drive kept any of the writes or none,
// and of one a part: sectors are whole, larger writes need not be.

import { execFileSync } from 'node:child_process';
import { open, type FileHandle } from 'node:fs/promises';

const magic = 0x6a736677736872n;
const flags = { flush: 1n, discard: 4n };

interface Entry {
  sector: number;
  sectors: number;
  flush: boolean;
  /** Where its data lies in the record; undefined: it has none. */
  dataAt: number | undefined;
}

export interface WriteLog {
  sectorBytes: number;
  entries: Entry[];
}

/** @throws RangeError for a file of another format */
export async function readWriteLog(path: string): Promise<WriteLog> {
  const file = await open(path, 'r');
  try {
    const head = await read(file, 0, 28);
    if (head.readBigUInt64LE(0) !== magic || head.readBigUInt64LE(8) !== 1n) {
      throw new RangeError(`expected a write log of version 1, got ${head.toString('hex')}`);
    }
    const count = Number(head.readBigUInt64LE(16));
    const sectorBytes = head.readUInt32LE(24);
    const entries: Entry[] = [];
    for (let at = sectorBytes; entries.length < count; ) {
      const fields = await read(file, at, 32);
      const flag = fields.readBigUInt64LE(16);
      const sectors = Number(fields.readBigUInt64LE(8));
      const hasData = sectors > 0 && (flag & flags.discard) === 0n;
      entries.push({
        sector: Number(fields.readBigUInt64LE(0)),
        sectors,
        flush: (flag & flags.flush) !== 0n,
        dataAt: hasData ? at + sectorBytes : undefined,
      });
      at += sectorBytes + (hasData ? sectors * sectorBytes : 0);
    }
    return { sectorBytes, entries };
  } finally {
    await file.close();
  }
}

export interface CrashState {
  /** How many entries had been sent when the power went. */
  sent: number;
  /** Of those after the last flush, how many the drive kept, and how many it lost. */
  kept: number;
  lost: number;
}

/**
 * Makes `target` what `base` became when the power went after `sent` entries of the record.
 * @param base the drive as it was when the record began; brought forward to the last flush before
 *   `sent`, so that calls go from early to late
 * @param random from 0 to 1
 */
export async function makeCrashState(
  record: { path: string; log: WriteLog; applied: number },
  { base, target, sent, random }: { base: string; target: string; sent: number; random: () => number },
): Promise<CrashState> {
  const { path, log } = record;
  const durable = log.entries.slice(0, sent).findLastIndex(({ flush }) => flush) + 1;
  const source = await open(path, 'r');
  try {
    await apply(source, log, { onto: base, entries: log.entries.slice(record.applied, durable) });
    record.applied = Math.max(record.applied, durable);
    // Node's own copying would fill the holes.
    execFileSync('cp', ['--sparse=always', base, target]);
    const pending = log.entries.slice(durable, sent);
    const kept = pending.filter(() => random() < 0.5);
    const last = kept.at(-1);
    const torn = last && { ...last, sectors: Math.ceil(last.sectors * random()) };
    const entries = [...kept.slice(0, -1), ...(torn ? [torn] : [])];
    await apply(source, log, { onto: target, entries });
    return { sent, kept: kept.length, lost: pending.length - kept.length };
  } finally {
    await source.close();
  }
}

async function apply(
  source: FileHandle,
  { sectorBytes }: WriteLog,
  { onto, entries }: { onto: string; entries: Entry[] },
): Promise<void> {
  const drive = await open(onto, 'r+');
  try {
    for (const { sector, sectors, dataAt } of entries) {
      if (dataAt === undefined) continue;
      const bytes = await read(source, dataAt, sectors * sectorBytes);
      await drive.write(bytes, 0, bytes.length, sector * sectorBytes);
    }
  } finally {
    await drive.close();
  }
}

async function read(file: FileHandle, at: number, sizeBytes: number): Promise<Buffer> {
  const bytes = Buffer.alloc(sizeBytes);
  const { bytesRead } = await file.read(bytes, 0, sizeBytes, at);
  if (bytesRead !== sizeBytes) throw new RangeError(`expected ${sizeBytes} bytes at ${at}`);
  return bytes;
}
