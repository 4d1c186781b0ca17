// Sizes of drives as people write and read them. Pure.

import { KitError } from '../errors.ts';

const units: Record<string, number> = { M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** `4G`, `4GiB`, `512M`: binary units. @throws KitError `size-invalid` */
export function parseSize(text: string): number {
  const parts = /^(\d{1,6})([MGT])(iB)?$/.exec(text);
  const sizeBytes = parts === null ? 0 : Number(parts[1]) * units[parts[2]];
  // 16 TiB is ext4's bound on a file, with its usual blocks.
  if (sizeBytes > 0 && sizeBytes <= 2 ** 44) return sizeBytes;
  throw new KitError({
    code: 'size-invalid',
    message: 'This is not a size for a drive',
    expected: 'a number with M, G or T (binary), such as 4G, up to 16T',
    got: text,
    hint: 'Say it such as --size 8G.',
    exitCode: 2,
  });
}

/** Decimal, as it is printed on drives: `31.9 GB`. */
export function sizeText(sizeBytes: number): string {
  const [unit, divisor] = sizeBytes >= 1e12 ? ['TB', 1e12] : ['GB', 1e9];
  if (sizeBytes < 1e8) return `${(sizeBytes / 1e6).toFixed(1)} MB`;
  return `${(sizeBytes / (divisor as number)).toFixed(1)} ${unit}`;
}
