// How much of a FAT file system is in use, by its own bookkeeping: nothing after that need be
// written to a drive. Pure. Offsets and formulas: "Microsoft FAT32 File System Specification" 1.03,
// 2000, by section.

import { KitError } from '../errors.ts';

/**
 * From the file system's start to the end of the last cluster in use.
 * @param head its beginning, with at least the boot sector and one FAT: see {@link headBytes}
 * @throws KitError `esp-unwritable` when this is no FAT
 */
export function usedBytes(head: Uint8Array): number {
  const fat = readGeometry(head);
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  const fatAt = fat.reservedSectors * fat.sectorBytes;
  let last = 1; // Clusters are numbered from 2.
  for (let cluster = 2; cluster < fat.clusters + 2; cluster++) {
    if (entryOf(bytes.subarray(fatAt), cluster, fat.bits) !== 0) last = cluster;
  }
  return fat.dataSector * fat.sectorBytes + (last - 1) * fat.clusterSectors * fat.sectorBytes;
}

/** How many bytes {@link usedBytes} looks at. @throws KitError `esp-unwritable` */
export function headBytes(bootSector: Uint8Array): number {
  const { reservedSectors, fatSectors, sectorBytes } = readGeometry(bootSector);
  return (reservedSectors + fatSectors) * sectorBytes;
}

interface Geometry {
  sectorBytes: number;
  clusterSectors: number;
  reservedSectors: number;
  fatSectors: number;
  /** The first sector of cluster 2. */
  dataSector: number;
  clusters: number;
  bits: 12 | 16 | 32;
}

/** § 3.1 (BPB) and § 3.5 (which FAT it is: told by the number of clusters alone). */
function readGeometry(bootSector: Uint8Array): Geometry {
  const bpb = Buffer.from(bootSector.buffer, bootSector.byteOffset, bootSector.byteLength);
  if (bpb.length < 512 || bpb.readUInt16LE(510) !== 0xaa55) throw noFat('no boot sector');
  const sectorBytes = bpb.readUInt16LE(11);
  const clusterSectors = bpb.readUInt8(13);
  const reservedSectors = bpb.readUInt16LE(14);
  const fats = bpb.readUInt8(16);
  const rootEntries = bpb.readUInt16LE(17);
  const fatSectors = bpb.readUInt16LE(22) || bpb.readUInt32LE(36);
  const sectors = bpb.readUInt16LE(19) || bpb.readUInt32LE(32);
  if (sectorBytes < 512 || clusterSectors === 0 || fats === 0) throw noFat('sizes of 0');
  const rootSectors = Math.ceil((rootEntries * 32) / sectorBytes);
  const dataSector = reservedSectors + fats * fatSectors + rootSectors;
  const clusters = Math.floor((sectors - dataSector) / clusterSectors);
  if (clusters < 1) throw noFat(`${clusters} clusters`);
  const bits = clusters < 4085 ? 12 : clusters < 65_525 ? 16 : 32;
  const entries = Math.floor((fatSectors * sectorBytes * 8) / bits);
  if (entries < clusters + 2) throw noFat(`${clusters} clusters, but ${entries} entries for them`);
  return {
    ...{ sectorBytes, clusterSectors, reservedSectors, fatSectors },
    ...{ dataSector, clusters, bits },
  };
}

/** § 4: 0 is free; a 32-bit entry's upper four bits are not part of it. */
function entryOf(fat: Buffer, cluster: number, bits: 12 | 16 | 32): number {
  if (bits === 32) return fat.readUInt32LE(cluster * 4) & 0x0fff_ffff;
  if (bits === 16) return fat.readUInt16LE(cluster * 2);
  const pair = fat.readUInt16LE(cluster + (cluster >> 1));
  return cluster % 2 === 0 ? pair & 0xfff : pair >> 4;
}

function noFat(got: string): KitError {
  return new KitError({
    code: 'esp-unwritable',
    message: 'The image’s boot partition is no FAT file system',
    expected: 'a FAT file system',
    got,
    hint: 'Make the image again with `kit image build`.',
  });
}
