import { closeSync, openSync, readSync, writeSync } from 'node:fs';

/**
 * One bit of the byte at `at` turns over, in place: who reads the file meanwhile never finds it
 * shorter, as they would if it were written anew.
 */
export function changeByte(path: string, at: number): void {
  const file = openSync(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    if (readSync(file, byte, 0, 1, at) !== 1) throw new RangeError(`${path} ends before byte ${at}`);
    byte[0] ^= 1;
    writeSync(file, byte, 0, 1, at);
  } finally {
    closeSync(file);
  }
}
