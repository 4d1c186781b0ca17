// A stand-in for the DeviceScript runtime of a chip, which no test may fetch: an Espressif image's
// first byte, the runtime's table of partitions, and bytes that follow from a seed. Served over
// HTTP on this machine, with pins that name it.

import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { seededRandom } from './bench.ts';

/** Name, type, subtype, offset, size: devicescript-esp32, boards/partitions.csv. */
const PARTITIONS = [
  ['dcfg', 0x8a, 0x00, 0x9000, 0x2000],
  ['nvs', 0x01, 0x02, 0xb000, 0x4000],
  ['phy_init', 0x01, 0x01, 0xf000, 0x1000],
  ['factory', 0x00, 0x00, 0x10000, 1728 * 1024],
  ['fstor', 0x8a, 0x01, 0x1c0000, 0x40000],
] as const;

export function standInRuntime(sizeBytes = 0x12345): Uint8Array {
  const image = Buffer.alloc(sizeBytes, 0xff);
  image.set(seededRandom('runtime')(0x6000));
  image.set(seededRandom('application')(sizeBytes - 0x10000), 0x10000);
  image[0] = 0xe9;
  PARTITIONS.forEach(([name, type, subtype, address, size], index) => {
    const entry = Buffer.alloc(32);
    entry.writeUInt16LE(0x50aa, 0);
    entry.set([type, subtype], 2);
    entry.writeUInt32LE(address, 4);
    entry.writeUInt32LE(size, 8);
    entry.write(name, 12);
    image.set(entry, 0x8000 + 32 * index);
  });
  return image;
}

export interface RuntimeServer {
  /** Of a file with pins that name this server and the image's checksum, or none. */
  pinsPath: string;
  requests: string[];
  stop(): Promise<void>;
}

export async function serveRuntime(
  dir: string,
  image: Uint8Array,
  { pinned = true, served = image }: { pinned?: boolean; served?: Uint8Array } = {},
): Promise<RuntimeServer> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(request.url!);
    response.end(served);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const sha256 = pinned ? createHash('sha256').update(image).digest('hex') : null;
  const of = (arch: string) => ({ url: `http://127.0.0.1:${port}/${arch}.bin`, sha256 });
  const pinsPath = join(dir, 'runtime.json');
  const images = { esp32c3: of('esp32c3'), esp32s3: of('esp32s3') };
  writeFileSync(pinsPath, JSON.stringify({ version: '2.16.1', images }));
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    });
  return { pinsPath, requests, stop };
}
