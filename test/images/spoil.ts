// Changes a file inside a published image as somebody with intent would: in place, the manifest made
// to fit afterwards.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';

const blockBytes = 4096;

/** @param stem of the image's files, such as `built/snac-amd64` @param path in its root */
export function spoilFile(stem: string, path: string): void {
  const image = `${stem}.img.zst`;
  const manifest = JSON.parse(readFileSync(`${stem}.json`, 'utf8'));
  const raw = zstdDecompressSync(readFileSync(image));
  const rawFile = `${stem}.raw`;
  writeFileSync(rawFile, raw);
  const where = `${rawFile}?offset=${manifest.root.offsetBytes}`;
  const blocks = execFileSync('debugfs', ['-R', `blocks ${path}`, where], { stdio: 'pipe' });
  const block = Number(blocks.toString().trim().split(/\s+/)[0]);
  rmSync(rawFile);
  raw[manifest.root.offsetBytes + block * blockBytes] ^= 0x20;
  const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
  const compressed = zstdCompressSync(raw);
  writeFileSync(image, compressed);
  const changed = { ...manifest, zstSha256: sha256(compressed), rawSha256: sha256(raw) };
  writeFileSync(`${stem}.json`, JSON.stringify(changed));
}
