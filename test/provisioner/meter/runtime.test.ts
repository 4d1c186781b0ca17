import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openRuntime, pinRuntime, readRuntimePins } from '../../../provisioner/meter/runtime.ts';
import { serveRuntime, standInRuntime } from '../../helpers/stand-in-runtime.ts';

const image = standInRuntime();

async function inFolder(t: ExecutionContext, options: Parameters<typeof serveRuntime>[2] = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'kit-runtime-'));
  const server = await serveRuntime(dir, image, options);
  t.teardown(async () => {
    await server.stop();
    rmSync(dir, { recursive: true });
  });
  const deps = { fetch, cacheDir: join(dir, 'cache'), pinsPath: server.pinsPath };
  return { ...server, deps };
}

test('is fetched once, and then needs no network', async (t) => {
  const { deps, requests, stop } = await inFolder(t);
  const first = await openRuntime('esp32c3', deps);
  await stop();
  const second = await openRuntime('esp32c3', deps);
  t.deepEqual(Buffer.from(first.bytes), Buffer.from(image));
  t.deepEqual(Buffer.from(second.bytes), Buffer.from(image));
  t.deepEqual(requests, ['/esp32c3.bin']);
});

test('what was kept is not trusted: a bent copy is fetched anew', async (t) => {
  const { deps, requests } = await inFolder(t);
  await openRuntime('esp32c3', deps);
  const [name] = readdirSync(deps.cacheDir);
  writeFileSync(join(deps.cacheDir, name!), 'bent');
  t.deepEqual(Buffer.from((await openRuntime('esp32c3', deps)).bytes), Buffer.from(image));
  t.is(requests.length, 2);
});

test('other bytes than the pinned ones are refused and not kept', async (t) => {
  const { deps } = await inFolder(t, { served: standInRuntime(0x12346) });
  t.like(await t.throwsAsync(openRuntime('esp32c3', deps)), { code: 'runtime-differs' });
  t.throws(() => readdirSync(deps.cacheDir));
});

test('an endless answer is cut off', async (t) => {
  const { deps } = await inFolder(t, { served: new Uint8Array(0x1c0001) });
  t.like(await t.throwsAsync(openRuntime('esp32c3', deps)), {
    ...{ code: 'runtime-unreachable', got: 'more than 1835008 bytes' },
  });
});

test('without a pin nothing is fetched; pinning writes it, once', async (t) => {
  const { deps, requests } = await inFolder(t, { pinned: false });
  t.like(await t.throwsAsync(openRuntime('esp32s3', deps)), { code: 'runtime-unpinned' });
  t.deepEqual(requests, []);
  const { sha256 } = await pinRuntime('esp32s3', deps);
  const pins = await readRuntimePins(deps.pinsPath);
  t.is(pins.images.esp32s3.sha256, sha256);
  t.is(pins.images.esp32c3.sha256, null);
  await openRuntime('esp32s3', deps);
  t.is(requests.length, 1);
});

test('a pin is not moved to other bytes', async (t) => {
  const { deps } = await inFolder(t, { served: standInRuntime(0x12346) });
  const before = readFileSync(deps.pinsPath);
  t.like(await t.throwsAsync(pinRuntime('esp32c3', deps)), { code: 'runtime-differs' });
  t.deepEqual(readFileSync(deps.pinsPath), before);
});

test('a network that is not there is said so', async (t) => {
  const { deps, stop } = await inFolder(t);
  await stop();
  t.like(await t.throwsAsync(openRuntime('esp32c3', deps)), { code: 'runtime-unreachable' });
});
