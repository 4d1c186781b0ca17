// The journey: a kit made, booted, metered, broken and proven, with no hardware. The steps stand
// here in order; what each does stands in its own file.

import type { Step } from './display.ts';
import { buildImage, makeDrive } from './bench.ts';
import { survive, type Survived } from './faults.ts';
import { federate, type Federation } from './federation.ts';
import { startLedger, type TrialLedger } from './ledger.ts';
import { pairMeter, type TrialMeter } from './meter.ts';
import { bootNode, configureTwice, type TrialNode } from './node.ts';
import { prove, type Proof } from './proof.ts';
import type { Trial } from './trial.ts';

/** What a finished journey leaves for its summary. */
export interface Travelled {
  node: TrialNode;
  federation: Federation;
  ledger: TrialLedger;
  meter: TrialMeter;
  survived: Survived;
  proof: Proof;
}

/** The seven steps; `travelled` is complete when all have run. */
export function journey(trial: Trial): { steps: Step[]; travelled: Travelled } {
  const travelled = {} as Travelled;
  const steps: Step[] = [
    {
      ...{ name: 'image', title: '1 Build the image from Debian packages' },
      run: (say) => buildImage(trial, say),
    },
    {
      ...{ name: 'drive', title: "2 Write it and alice's identity to a drive, and read it back" },
      run: (say) => makeDrive(trial, say),
    },
    {
      ...{ name: 'boot', title: '3 Boot the drive' },
      run: async (say) => void (travelled.node = await bootNode(trial, say)),
    },
    {
      ...{ name: 'node', title: '4 Configure the node; meet a second server' },
      async run(say) {
        await configureTwice(trial, travelled.node, say);
        travelled.federation = await federate(trial, travelled.node, say);
      },
    },
    {
      ...{ name: 'meter', title: '5 Start the ledger; pair the meter' },
      async run(say) {
        travelled.ledger = await startLedger(trial, say);
        travelled.meter = await pairMeter(trial, travelled, say);
      },
    },
    {
      ...{ name: 'faults', title: '6 Let batches flow; cut power, network and ledger' },
      run: async (say) => void (travelled.survived = await survive(trial, travelled, say)),
    },
    {
      ...{ name: 'proof', title: '7 Check the kit, audit the ledger, print the label' },
      run: async (say) => void (travelled.proof = await prove(trial, travelled, say)),
    },
  ];
  return { steps, travelled };
}
