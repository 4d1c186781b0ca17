#!/usr/bin/env node
// The way in for `npx ledger`: hands over to the Node that the project brings. Plain JavaScript.

import { runPinnedNode } from '../provisioner/pinned-node.js';
import { setUp } from '../provisioner/setup.js';
import { SERVER_HEAP } from './server-heap.js';

const status = await setUp(undefined);
if (status !== 0) process.exit(status);
const words = process.argv.slice(2);
const flags = words[0] === 'serve' ? SERVER_HEAP : [];
process.exit(await runPinnedNode(new URL('main.ts', import.meta.url), words, flags));
