// The DeviceScript machine with a counter put into it: its interpreter's loop adds one, at an address
// that nothing uses, for each step. And with less than it has on a board: fewer steps between two
// awaits, a smaller heap. For measuring alone; the machine of every test is the one as shipped.
//
// Owns the places in the module of @devicescript/cli 2.16.4, and refuses any other.

const STEP_LIMIT = 131_072;
/** What a board has. */
export const HEAP_BYTES = 65_536;
/** In the null page: emscripten's static data begins at 1,024. */
const COUNTER_AT = 16;
const WASM = /data:application\/octet-stream;base64,([A-Za-z0-9+/=]+)/;
const CODE_SECTION = 10;

/** local.set 3 of the limit; block; loop. */
const LOOP = Buffer.from('41808008210302400340', 'hex');
/** The heap's one chunk: its start, then its size. */
const CHUNK = Buffer.from('41186a41808004', 'hex');
/** i32.const A, i32.const A, i64.load, i64.const 1, i64.add, i64.store. */
const COUNT = Buffer.from([0x41, COUNTER_AT, 0x41, COUNTER_AT, 0x29, 3, 0, 0x42, 1, 0x7c, 0x37, 3, 0]);

export interface Limits {
  /** Steps between two awaits; a board has 131,072. */
  steps?: number;
  /** A board has 65,536. */
  heapBytes?: number;
}

/** For `loadVm`: the module's text with the counter in it. */
export function counted({ steps = STEP_LIMIT, heapBytes = HEAP_BYTES }: Limits = {}) {
  return (module: string): string => {
    const found = WASM.exec(module);
    if (found === null) throw new Error('the module holds no WebAssembly where it used to');
    const wasm = Buffer.from(found[1], 'base64');
    const loopAt = onlyPlace(wasm, LOOP, 'loop');
    const chunkAt = onlyPlace(wasm, CHUNK, 'heap');
    putNumber(wasm, loopAt + 1, steps);
    putNumber(wasm, chunkAt + 4, heapBytes);
    const changed = insert(wasm, loopAt + LOOP.length, COUNT);
    return module.replace(found[1], changed.toString('base64'));
  };
}

/** Steps since the machine was made. */
export function stepsOf(memory: Uint8Array): number {
  const view = new DataView(memory.buffer, memory.byteOffset);
  return Number(view.getBigUint64(COUNTER_AT, true));
}

function onlyPlace(wasm: Buffer, what: Buffer, name: string): number {
  const at = wasm.indexOf(what);
  if (at < 0 || wasm.indexOf(what, at + 1) >= 0) {
    throw new Error(`the machine’s ${name} is not where 2.16.4 has it`);
  }
  return at;
}

/** LEB128 in three bytes. */
function putNumber(wasm: Buffer, at: number, value: number): void {
  wasm.set([(value & 127) | 128, ((value >> 7) & 127) | 128, value >> 14], at);
}

/** Puts bytes into the function around `at`, and mends the lengths that lie before it. */
function insert(wasm: Buffer, at: number, bytes: Buffer): Buffer {
  for (let section = 8; section < wasm.length;) {
    const size = leb(wasm, section + 1);
    const end = size.next + size.value;
    if (wasm[section] === CODE_SECTION && at < end) {
      const count = leb(wasm, size.next);
      let body = count.next;
      for (;;) {
        const length = leb(wasm, body);
        if (at < length.next + length.value) {
          const longer = toLeb(length.value + bytes.length);
          const inner = Buffer.concat([
            wasm.subarray(size.next, body), longer, wasm.subarray(length.next, at), bytes,
            wasm.subarray(at, end),
          ]);
          const head = Buffer.of(CODE_SECTION, ...toLeb(inner.length));
          return Buffer.concat([wasm.subarray(0, section), head, inner, wasm.subarray(end)]);
        }
        body = length.next + length.value;
      }
    }
    section = end;
  }
  throw new Error('no function there');
}

function leb(bytes: Buffer, at: number): { value: number; next: number } {
  let [value, shift, next] = [0, 0, at];
  for (;;) {
    const byte = bytes[next++];
    value += (byte & 127) * 2 ** shift;
    shift += 7;
    if (byte < 128) return { value, next };
  }
}

function toLeb(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push(rest % 128 + (rest >= 128 ? 128 : 0));
    if (rest < 128) return Buffer.from(bytes);
  }
}
