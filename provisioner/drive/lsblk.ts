// What this machine's disks are: lsblk's JSON and the one thing that it lacks, sysfs's kind of
// memory card. Turns both into BlockDevices and judges nothing.

import { readFile } from 'node:fs/promises';

import * as v from 'valibot';

import type { BlockDevice } from './eligible.ts';
import { runTool } from './tool.ts';

const columns = [
  ...['name', 'path', 'type', 'size', 'model', 'serial', 'tran', 'rm', 'ro'],
  ...['mountpoints', 'fstype', 'label', 'uuid'],
];

/** util-linux 2.38 and later; `size` in bytes by --bytes; absent values are null. */
const text = v.optional(v.nullable(v.string()));
const nodeEntries = {
  name: v.string(),
  path: v.string(),
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

/** Kernel name of a memory card to its sysfs type, `SD` or `MMC`. */
export type CardTypes = Record<string, string>;

export async function listBlockDevices(): Promise<BlockDevice[]> {
  const args = ['--json', '--bytes', '--tree', '--output', columns.join(',').toUpperCase()];
  const tree: unknown = JSON.parse((await runTool('lsblk', args)).toString('utf8'));
  return parseLsblk(tree, await readCardTypes(tree));
}

/** Pure. @throws valibot's ValiError when this is not lsblk's tree */
export function parseLsblk(tree: unknown, cards: CardTypes): BlockDevice[] {
  return v.parse(treeSchema, tree).blockdevices.map((node) => toDevice(node, cards));
}

function toDevice(node: LsblkNode, cards: CardTypes): BlockDevice {
  return {
    name: node.name,
    path: node.path,
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
    children: (node.children ?? []).map((child) => toDevice(child, cards)),
  };
}

async function readCardTypes(tree: unknown): Promise<CardTypes> {
  const names = v.parse(treeSchema, tree).blockdevices.map(({ name }) => name);
  const cards: CardTypes = {};
  for (const name of names.filter((candidate) => /^mmcblk\d+$/.test(candidate))) {
    cards[name] = (await readFile(`/sys/block/${name}/device/type`, 'utf8')).trim();
  }
  return cards;
}
