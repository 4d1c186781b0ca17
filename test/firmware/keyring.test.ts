// Keys that follow each other, under power cuts: the writes of a life over three keys are replayed, cut
// at every single byte, and the memory opened afresh each time. No index may be given twice, no key
// that was succeeded may give one again, and what was growing must grow to the same tree.
import test from 'ava';
import { hash } from 'node:crypto';
import '../helpers/firmware.ts';
import { Memory } from '../helpers/memory.ts';
import type { Tree } from '../../firmware/key.ts';
import type { Keyring, StoredKey } from '../../firmware/keyring.ts';

const { CHECKPOINT_LEAVES, Keyring: Ring } = await import('../../firmware/keyring.ts');
const { growLeaves } = await import('../../firmware/key.ts');

const SIZE = 0x1800;
const METER_ID = Buffer.from('0102030405060708', 'hex');
/** Puts an end to a life where the test wants one. */
const ENOUGH = new Error('enough');

async function open(memory: Memory): Promise<Keyring> {
  const keys = new Ring(memory);
  await keys.open();
  await keys.settle();
  return keys;
}

function keyOf(number: number, height = 10): StoredKey {
  return { number, height, I: Buffer.alloc(16, number), seed: Buffer.alloc(24, 0x50 + number) };
}

const sha = (...parts: Uint8Array[]): Buffer =>
  hash('sha256', Buffer.concat(parts), 'buffer').subarray(0, 24);

/** As a tree grows, of cheap leaves; its roots are those of no LMS key. */
function treeOf(key: StoredKey): Tree {
  const none = () => {
    throw new Error('not asked for here');
  };
  return {
    n: 24, subtrees: 32, growSubtree: none, addSubtree: none, nodeAbove: none,
    publicKey: none, sign: none,
    async growLeaf(q, stack) {
      const nodes = [];
      for (let at = 0; at < stack.length; at += 24) nodes.push((stack as Buffer).subarray(at, at + 24));
      nodes.push(sha(key.seed, Buffer.of(q >> 8, q & 255)));
      for (let rest = q % 32; rest % 2 === 1; rest >>= 1) {
        const right = nodes.pop() as Buffer;
        nodes.push(sha(nodes.pop() as Buffer, right));
      }
      return Buffer.concat(nodes);
    },
  };
}

async function growOn(keys: Keyring, rest: () => Promise<void> = async () => {}): Promise<void> {
  const key = keys.successor as StoredKey;
  const store = {
    growth: keys.growth,
    checkpointLeaves: CHECKPOINT_LEAVES,
    keepGrowth: (growth: Keyring['growth']) => keys.keepGrowth(growth),
    keepNode: (index: number, node: { [i: number]: number; readonly length: number }) =>
      keys.keepNode(key, index, node),
  };
  await growLeaves(treeOf(key), store, rest);
}

async function layerOf(keys: Keyring, key: StoredKey): Promise<string[]> {
  const nodes = [];
  for (let i = 0; i < 32; i++) nodes.push((await keys.readNode(key, i))?.toString('hex') ?? 'none');
  return nodes;
}

/** What has been promised to the rest of the meter, and after how many writes. */
interface State {
  writes: number;
  number: number;
  index: number;
  successor: number;
  leaves: number;
}

/** Three keys: each signs a little, grows the next, and is succeeded. */
async function live(memory: Memory): Promise<{ states: State[]; layers: Map<number, string[]> }> {
  const keys = await open(memory);
  const states: State[] = [];
  const layers = new Map<number, string[]>();
  const note = (): void => void states.push({ ...stateOf(keys), writes: memory.writes.length });
  await keys.keepKey(keyOf(1, 5));
  note();
  for (let number = 1; number <= 3; number++) {
    await keys.takeSignature(number);
    note();
    await keys.keepSuccessor(keyOf(number + 1), METER_ID);
    note();
    await growOn(keys, async () => note());
    note();
    layers.set(number + 1, await layerOf(keys, keyOf(number + 1)));
    await keys.takeSignature(number);
    note();
    await keys.adopt(number + 1);
    note();
    await refusedBy(keys.takeSignature(number));
  }
  return { states, layers };
}

/** The former key gives nothing. */
async function refusedBy(taken: Promise<number>): Promise<void> {
  const refused = await taken.then(() => false, () => true);
  if (!refused) throw new Error('the former key gave an index');
}

function stateOf(keys: Keyring): Omit<State, 'writes'> {
  return {
    number: keys.key?.number ?? 0,
    index: keys.nextSignature,
    successor: keys.successor?.number ?? 0,
    leaves: keys.growth.leaves,
  };
}

test('cut at every byte of three keys: nothing given twice, the same trees, no way back', async (t) => {
  const memory = new Memory(SIZE);
  const { states, layers } = await live(memory);
  let whole = Buffer.alloc(SIZE, 0xa5);
  let state = -1;
  let cuts = 0;
  for (const [index, { address, bytes }] of memory.writes.entries()) {
    while (state + 1 < states.length && states[state + 1].writes <= index) state++;
    if (state >= 0 && state + 1 < states.length)
      for (let cut = 0; cut < bytes.length; cut++) {
        const torn = new Memory(SIZE);
        whole.copy(torn.bytes);
        torn.bytes.set(bytes.subarray(0, cut), address);
        const problem = await audit(torn, [states[state], states[state + 1]], layers, cuts % 199 === 0);
        if (problem) return t.fail(`write ${index}, cut at byte ${cut}: ${problem}`);
        cuts++;
      }
    whole = Buffer.from(whole);
    whole.set(bytes, address);
  }
  t.true(cuts > 25_000, `${cuts} cuts`);
  t.log(`${cuts} cuts over ${memory.writes.length} writes`);
});

/** What does not hold in `memory`, which was cut between the two states; null if all does. */
async function audit(
  memory: Memory,
  [before, after]: [State, State],
  layers: Map<number, string[]>,
  toTheEnd: boolean,
): Promise<string | null> {
  const keys = await open(memory);
  const found = stateOf(keys);
  if (found.number !== before.number && found.number !== after.number) return `key ${found.number}`;
  const [least, most] = found.number === before.number
    ? [before.index, after.number === before.number ? after.index : before.index]
    : [0, after.index];
  // A torn newest slot costs an index: one more is legal.
  if (found.index < least || found.index > most + 1) return `index ${found.index} of ${found.number}`;
  if (before.number > 1 && !keys.meterId?.equals(METER_ID)) return `meter id ${keys.meterId}`;
  const { successor } = keys;
  if (successor === null)
    return before.successor === 0 || found.number === before.successor ? null : 'no successor';
  if (before.successor === found.successor && found.leaves < before.leaves - CHECKPOINT_LEAVES)
    return `${found.leaves} leaves of ${before.leaves}`;
  // It grows on as if nothing had been: to the next root, or to the last one.
  let left = toTheEnd ? Infinity : 2 * CHECKPOINT_LEAVES;
  await growOn(keys, async () => {
    if (left-- <= 0) throw ENOUGH;
  }).catch((error: unknown) => {
    if (error !== ENOUGH) throw error;
  });
  const roots = await layerOf(keys, successor);
  const truth = layers.get(successor.number) as string[];
  const grown = Math.floor(keys.growth.leaves / 32);
  const wrong = roots.findIndex((root, i) => (i < grown || root !== 'none') && root !== truth[i]);
  if (wrong >= 0) return `root ${wrong} of key ${successor.number} is ${roots[wrong]}`;
  return toTheEnd && grown !== 32 ? `${grown} roots` : null;
}

test('cut in mid-succession, the new key signs on, and the former one never again', async (t) => {
  const memory = new Memory(SIZE);
  const keys = await open(memory);
  await keys.keepKey(keyOf(1, 5));
  for (let q = 0; q < 7; q++) await keys.takeSignature(1);
  await keys.keepSuccessor(keyOf(2), METER_ID);
  await growOn(keys);
  const before = Buffer.from(memory.bytes);
  const from = memory.writes.length;
  await keys.adopt(2);
  const adopting = memory.writes.slice(from);
  t.true(adopting.length >= 4);
  for (let done = 0; done <= adopting.length; done++) {
    const torn = new Memory(SIZE);
    before.copy(torn.bytes);
    for (const { address, bytes } of adopting.slice(0, done)) torn.bytes.set(bytes, address);
    const reopened = await open(torn);
    const [inForce, former] = done === 0 ? [1, 2] : [2, 1];
    await t.throwsAsync(reopened.takeSignature(former), { message: /not in force/ });
    t.is(await reopened.takeSignature(inForce), done === 0 ? 7 : 0);
    await reopened.adopt(2);
    t.is(reopened.key?.number, 2);
    t.is((await open(torn)).key?.number, 2);
  }
});

test('no worn bit brings a former key back', async (t) => {
  const memory = new Memory(SIZE);
  const keys = await open(memory);
  await keys.keepKey(keyOf(1, 5));
  for (let q = 0; q < 5; q++) await keys.takeSignature(1);
  await keys.keepSuccessor(keyOf(2), METER_ID);
  await keys.adopt(2);
  const sound = Buffer.from(memory.bytes);
  const parts = [[0x40, 64], [0x400, 256], [0x5c0, 192]];
  for (const [start, length] of parts)
    for (let bit = 0; bit < 8 * length; bit++) {
      memory.bytes = Buffer.from(sound);
      memory.bytes[start + (bit >> 3)] ^= 1 << (bit & 7);
      const worn = await open(memory);
      const index = await worn.takeSignature(2);
      if (index > 1) t.fail(`bit ${bit} at ${start}: index ${index}`);
    }
  t.false(sound.subarray(0x400, 0x500).includes(keyOf(1).seed), 'the former seed is still there');
});

test('a new pairing gives up what was growing, and its number', async (t) => {
  const memory = new Memory(SIZE);
  const keys = await open(memory);
  await keys.keepKey(keyOf(1, 5));
  await keys.keepSuccessor(keyOf(2), METER_ID);
  t.is(keys.nextNumber(), 3);
  await keys.keepKey(keyOf(3, 5));
  for (const one of [keys, await open(memory)]) {
    t.is(one.key?.number, 3);
    t.is(one.successor, null);
    t.is(one.meterId, null);
    await one.adopt(2);
    t.is(one.key?.number, 3);
  }
});

test('half a successor begins again where it stood, another begins anew', async (t) => {
  const memory = new Memory(SIZE);
  const keys = await open(memory);
  await keys.keepKey(keyOf(1, 5));
  await keys.keepSuccessor(keyOf(2), METER_ID);
  let leaves = 0;
  const growing = growOn(keys, async () => {
    if (leaves++ === 700) throw ENOUGH;
  });
  t.is(await t.throwsAsync(growing), ENOUGH);
  t.is((await open(memory)).growth.leaves, 696);
  await keys.keepSuccessor(keyOf(3), METER_ID);
  t.is((await open(memory)).growth.leaves, 0);
});
