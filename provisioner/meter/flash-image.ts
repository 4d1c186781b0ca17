// What a meter's flash shall hold, as two parts: the runtime with our board's pins in it, and the
// store with the program. The store is written by the runtime itself, run here on the bench, so
// that its format stays the runtime's own.
//
//   0x000000  bootloader │ partitions 0x8000 │ board 0x9000 │ nvs 0xb000 │ runtime 0x10000 …
//   0x1c0000  store: program, settings; 256 KiB

import { loadVm } from '../virtual/vm-module.ts';
import { KitError } from '../errors.ts';
import { LAYOUT } from './board.ts';
import type { FlashPart } from './rom-loader.ts';

const ESP_IMAGE_MAGIC = 0xe9;
const PARTITIONS = { address: 0x8000, entryBytes: 32, magic: 0x50aa } as const;
/** Where our two partitions must be: type 0x8a, subtype (partitions.csv). */
const EXPECTED = [
  { name: 'dcfg', subtype: 0, ...LAYOUT.dcfg },
  { name: 'fstor', subtype: 1, ...LAYOUT.fstor },
];

/** @throws KitError `runtime-unusable`, `program-refused` */
export async function composeFlash(parts: {
  runtime: Uint8Array;
  board: Uint8Array;
  bytecode: Uint8Array;
}): Promise<FlashPart[]> {
  return [
    { name: 'runtime', address: 0, bytes: withBoard(parts.runtime, parts.board) },
    { name: 'program', address: LAYOUT.fstor.address, bytes: await makeStore(parts.bytecode) },
  ];
}

function withBoard(runtime: Uint8Array, board: Uint8Array): Uint8Array {
  const { address, sizeBytes } = LAYOUT.dcfg;
  checkRuntime(runtime);
  if (board.length > sizeBytes) {
    throw unusable(`at most ${sizeBytes} bytes of board definition`, `${board.length}`);
  }
  // To whole words, as flash is written.
  const bytes = new Uint8Array(Math.ceil(runtime.length / 4) * 4).fill(0xff);
  bytes.set(runtime);
  bytes.fill(0xff, address, address + sizeBytes);
  bytes.set(board, address);
  return bytes;
}

function checkRuntime(runtime: Uint8Array): void {
  const view = Buffer.from(runtime.buffer, runtime.byteOffset, runtime.length);
  if (view[0] !== ESP_IMAGE_MAGIC) throw unusable('an Espressif image, 0xe9', `0x${view[0]?.toString(16)}`);
  if (view.length > LAYOUT.fstor.address) {
    throw unusable(`at most ${LAYOUT.fstor.address} bytes`, `${view.length}`);
  }
  for (const { name, subtype, address, sizeBytes } of EXPECTED) {
    const found = partitions(view).find((entry) => entry.type === 0x8a && entry.subtype === subtype);
    if (found?.address === address && found.sizeBytes === sizeBytes) continue;
    const got = found && `${found.sizeBytes} bytes at ${found.address}`;
    throw unusable(`partition ${name}: ${sizeBytes} bytes at ${address}`, got ?? 'none');
  }
}

/** ESP-IDF, "Partition Tables": magic, type, subtype, offset, size, name, flags. */
function partitions(image: Buffer) {
  const entries = [];
  let at: number = PARTITIONS.address;
  while (at + 32 <= image.length && image.readUInt16LE(at) === PARTITIONS.magic) {
    entries.push({
      ...{ type: image[at + 2]!, subtype: image[at + 3]! },
      ...{ address: image.readUInt32LE(at + 4), sizeBytes: image.readUInt32LE(at + 8) },
    });
    at += PARTITIONS.entryBytes;
  }
  return entries;
}

/** The same bytecode gives the same bytes, for every meter. Filled with ones, as erased flash is. */
export async function makeStore(bytecode: Uint8Array): Promise<Uint8Array> {
  const { sizeBytes } = LAYOUT.fstor;
  const vm = await loadVm(() => 0);
  let kept: Uint8Array = new Uint8Array();
  vm.flashSize = sizeBytes;
  vm.flashLoad = () => kept;
  vm.flashSave = (image) => (kept = image.slice());
  vm.dmesg = vm.error = vm.sendPacket = vm.panicHandler = () => {};
  vm.devsSetDeviceId('0000000000000001');
  const refused = vm.devsDeploy(bytecode);
  if (refused !== 0 || kept.length > sizeBytes) {
    throw new KitError({
      code: 'program-refused',
      message: 'The runtime does not take the program',
      expected: `a program that it verifies and ${sizeBytes} bytes hold`,
      got: refused === 0 ? `${kept.length} bytes` : `error ${refused}`,
      hint: 'Build it anew: kit meter build',
    });
  }
  const store = new Uint8Array(sizeBytes).fill(0xff);
  store.set(kept);
  return store;
}

function unusable(expected: string, got: string): KitError {
  return new KitError({
    code: 'runtime-unusable',
    message: 'The runtime image is not laid out as a meter needs it',
    ...{ expected, got },
    hint: 'Pin the version that hardware/runtime.json names.',
  });
}
