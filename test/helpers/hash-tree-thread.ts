// The thread that hash-trees.ts starts on each core.

import { parentPort, workerData } from 'node:worker_threads';
import type { Share } from './hash-trees.ts';
import { hashTree } from './lms-signer.ts';
import { keyParameters } from './meter.ts';

const { names, height } = workerData as Share;
parentPort!.postMessage(names.map((name) => hashTree(keyParameters(name, height))));
