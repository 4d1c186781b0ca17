// What this machine's disks are: lsblk's JSON and the few things that it lacks, from sysfs: the kind
// of a memory card, a disk's sequence number, what a loop device stands on. Turns them into
// BlockDevices and judges nothing.

import { readFile } from 'node:fs/promises';

import * as v from 'valibot';

import { descendants, type BlockDevice } from './eligible.ts';
import { runTool } from './tool.ts';

const columns = [
  ...['name', 'path', 'maj:min', 'type', 'size', 'model', 'serial', 'tran', 'rm', 'ro'],
  ...['mountpoints', 'fstype', 'label', 'uuid'],
];

/** util-linux 2.38 and later; `size` in bytes by --bytes; absent values are null. */
const text = v.optional(v.nullable(v.string()));
const nodeEntries = {
  name: v.string(),
  path: v.string(),
  'maj:min': text,
  type: v.string(),
  size: v.nullable(v.number()),
  model: text,
  serial: text,
  tran: text,
  rm: v.boolean(),
  ro: v.boolean(),
  mountpoints: v.array(v.nullable(v.string())),
  fstype: text,
  label: text,
  uuid: text,
};
interface LsblkNode extends v.InferOutput<typeof nodeSchemaShallow> {
  children?: LsblkNode[];
}
const nodeSchemaShallow = v.object(nodeEntries);
const nodeSchema: v.GenericSchema<LsblkNode> = v.object({
  ...nodeEntries,
  children: v.optional(v.array(v.lazy(() => nodeSchema))),
});
const treeSchema = v.object({ blockdevices: v.array(nodeSchema) });

/** What lsblk does not tell, by kernel name; absent: unknown. */
export interface Sysfs {
  /** Of memory cards: `SD` or `MMC`. */
  cards?: Record<string, string>;
  sequences?: Record<string, string>;
  /** Of loop devices: the path of the file or device that they stand on. */
  backing?: Record<string, string>;
}

export async function listBlockDevices(): Promise<BlockDevice[]> {
  const args = ['--json', '--bytes', '--tree', '--output', columns.join(',').toUpperCase()];
  const tree: unknown = JSON.parse((await runTool('lsblk', args)).toString('utf8'));
  return parseLsblk(tree, await readSysfs(tree));
}

/** Pure. @throws valibot's ValiError when this is not lsblk's tree */
export function parseLsblk(tree: unknown, sysfs: Sysfs): BlockDevice[] {
  const devices = v.parse(treeSchema, tree).blockdevices.map((node) => toDevice(node, sysfs));
  return graftLoops(devices, sysfs.backing ?? {});
}

function toDevice(node: LsblkNode, sysfs: Sysfs): BlockDevice {
  const { cards = {}, sequences = {} } = sysfs;
  return {
    name: node.name,
    path: node.path,
    majorMinor: node['maj:min']?.trim() ?? '',
    diskSequence: sequences[node.name] ?? '',
    type: node.type,
    sizeBytes: node.size ?? 0,
    model: node.model?.trim() ?? '',
    serial: node.serial?.trim() ?? '',
    transport: node.tran ?? '',
    cardType: cards[node.name] ?? '',
    removable: node.rm,
    readOnly: node.ro,
    mountpoints: node.mountpoints.filter((point) => point !== null),
    fileSystem: node.fstype ?? '',
    label: node.label ?? '',
    uuid: node.uuid ?? '',
    children: (node.children ?? []).map((child) => toDevice(child, sysfs)),
  };
}

/**
 * A loop device on a disk uses it, and the kernel says so neither to lsblk nor to O_EXCL: it is
 * made a child of what it stands on, and stays where it was.
 */
function graftLoops(devices: BlockDevice[], backing: Record<string, string>): BlockDevice[] {
  const all = devices.flatMap((device) => [device, ...descendants(device)]);
  for (const loop of devices.filter(({ name }) => name in backing)) {
    const under = all.find(({ path }) => path === backing[loop.name]);
    if (under !== undefined && under !== loop) under.children.push(loop);
  }
  return devices;
}

async function readSysfs(tree: unknown): Promise<Sysfs> {
  const names = v.parse(treeSchema, tree).blockdevices.map(({ name }) => name);
  const read = async (wanted: RegExp, file: string): Promise<Record<string, string>> => {
    const found: Record<string, string> = {};
    for (const name of names.filter((candidate) => wanted.test(candidate))) {
      // Absent on kernels that do not know it, and when the disk has just been pulled out.
      const text = await readFile(`/sys/block/${name}/${file}`, 'utf8').catch(() => undefined);
      if (text !== undefined) found[name] = text.trim();
    }
    return found;
  };
  return {
    cards: await read(/^mmcblk\d+$/, 'device/type'),
    sequences: await read(/./, 'diskseq'),
    backing: await read(/^loop\d+$/, 'loop/backing_file'),
  };
}
