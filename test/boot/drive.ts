// The drive's file as seen from outside, while the machine is on or off: no file system's word is
// taken for what the bytes are.

import { open } from 'node:fs/promises';

import type { FlashedKit } from './subject.ts';

/** How many of `lines` are among the boot partition's bytes. */
export async function linesOnEsp(
  { drive, manifest }: Pick<FlashedKit, 'drive' | 'manifest'>,
  lines: string[],
): Promise<number> {
  const file = await open(drive, 'r');
  try {
    const { offsetBytes, sizeBytes } = manifest.esp;
    const bytes = Buffer.alloc(sizeBytes);
    const { bytesRead } = await file.read(bytes, 0, sizeBytes, offsetBytes);
    if (bytesRead !== sizeBytes) throw new RangeError(`expected ${sizeBytes} bytes`);
    return lines.filter((line) => bytes.includes(line)).length;
  } finally {
    await file.close();
  }
}
