#!/usr/bin/env node
// The way in for `npm start`, `npm test` and `npx kit`: sets up what is missing, then hands over to
// the Node that the project brings. Plain JavaScript for any Node from 18 on.

import { runPinnedNode, SMALL_HEAP } from './pinned-node.js';
import { setUp } from './setup.js';

/** What some first words need installed, and what they run; every other word is kit's own. */
const WAYS = {
  '--test': { purpose: 'test', script: '../test/run.ts', args: ['fast'] },
  '--test-root': { purpose: 'root', script: '../test/run.ts', args: ['root'] },
  '--test-images': { purpose: 'images', script: '../test/images/main.ts', args: [] },
  '--test-boot': { purpose: 'boot', script: '../test/boot/main.ts', args: [] },
  '--test-node': { purpose: 'node', script: '../test/node/main.ts', args: [] },
  '--test-hardships': { purpose: 'hardships', script: '../test/node/endure.ts', args: [] },
  '--test-acme': { purpose: 'acme', script: '../test/acme.ts', args: [] },
  '--test-usb': { purpose: 'usb', script: '../test/usb/main.ts', args: [] },
  '--test-year': { script: '../test/firmware/year/main.ts', args: [] },
  '--speed': { purpose: 'speed', script: '../test/speed/main.ts', args: [] },
  try: { purpose: 'start', script: './kit.ts', args: ['try'] },
};

const [first, ...rest] = process.argv.slice(2);
const way = WAYS[first] ?? { script: './kit.ts', args: first === undefined ? [] : [first] };
const onlyAsking = rest.includes('--help') || rest.includes('-h');
const status = await setUp(onlyAsking ? undefined : way.purpose);
if (status !== 0) process.exit(status);
const flags = way.script === './kit.ts' ? SMALL_HEAP : [];
const script = new URL(way.script, import.meta.url);
process.exit(await runPinnedNode(script, [...way.args, ...rest], flags));
