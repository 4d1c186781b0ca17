// Writes tar archives (POSIX.1-2017 pax, "ustar Interchange Format") that depend on nothing but
// their entries: owner root, one time for all, sorted names. Pure; it never reads the disk.
//
//   header, 512 bytes:  name 100 | mode 8 | uid 8 | gid 8 | size 12 | mtime 12 | chksum 8 |
//                       typeflag 1 | linkname 100 | magic "ustar\0" | version "00" | … |
//                       prefix 155
//   then the content, padded with zeros to 512; two zero blocks end the archive.

export interface TarFile {
  /** Path without a leading slash. */
  path: string;
  mode: number;
  content: Uint8Array;
}

export interface TarLink {
  path: string;
  target: string;
}

export type TarEntry = TarFile | TarLink;

const BLOCK = 512;

/** One archive of files and symbolic links. Folders are left to the reader, which makes them. */
export function writeTar(entries: readonly TarEntry[], mtimeS: number): Uint8Array {
  const sorted = [...entries].sort((a, b) => (a.path < b.path ? -1 : 1));
  const parts = sorted.flatMap((entry) => [header(entry, mtimeS), padded(entry)]);
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]);
}

function header(entry: TarEntry, mtimeS: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const isLink = 'target' in entry;
  const [prefix, name] = splitPath(entry.path);
  block.write(name, 0);
  writeOctal(block, 100, 8, isLink ? 0o777 : entry.mode);
  writeOctal(block, 108, 8, 0);
  writeOctal(block, 116, 8, 0);
  writeOctal(block, 124, 12, isLink ? 0 : entry.content.length);
  writeOctal(block, 136, 12, mtimeS);
  block.write(isLink ? '2' : '0', 156);
  if (isLink) {
    if (Buffer.byteLength(entry.target) > 100) throw new RangeError(`link too long: ${entry.path}`);
    block.write(entry.target, 157);
  }
  block.write('ustar\x0000', 257, 'latin1');
  block.write(prefix, 345);
  // The checksum is taken with its own field as spaces.
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** Names over 100 bytes are split at a slash between the prefix and name fields. */
function splitPath(path: string): [prefix: string, name: string] {
  if (Buffer.byteLength(path) <= 100) return ['', path];
  for (let cut = path.indexOf('/'); cut !== -1; cut = path.indexOf('/', cut + 1)) {
    const [prefix, name] = [path.slice(0, cut), path.slice(cut + 1)];
    if (Buffer.byteLength(prefix) <= 155 && Buffer.byteLength(name) <= 100) return [prefix, name];
  }
  throw new RangeError(`path too long for a tar header: ${path}`);
}

function writeOctal(block: Buffer, offset: number, width: number, value: number): void {
  block.write(`${value.toString(8).padStart(width - 1, '0')}\0`, offset, 'latin1');
}

function padded(entry: TarEntry): Buffer {
  if ('target' in entry) return Buffer.alloc(0);
  const content = Buffer.alloc(Math.ceil(entry.content.length / BLOCK) * BLOCK);
  content.set(entry.content);
  return content;
}
