// Shows a journey as it goes: what is being done, what it says, how long it took. On a terminal the
// running step turns; elsewhere a line each; for programs, events. Knows nothing of the steps.

import { Listr, PRESET_TIMER, type ListrTask } from 'listr2';
import type { Output } from '../terminal.ts';

export interface Step {
  name: string;
  title: string;
  run(say: (text: string) => void): Promise<void>;
}

export interface StepTime {
  name: string;
  seconds: number;
}

/** Thrown for the step that did not hold; `cause` is why. */
export class StepFailed extends Error {
  readonly step: string;
  constructor(step: Step, cause: unknown) {
    super(`Step "${step.name}" did not hold`, { cause });
    this.name = 'StepFailed';
    this.step = step.name;
  }
}

/** Runs the steps in order and stops at the first that throws. @throws StepFailed */
export async function showSteps(
  steps: Step[],
  mode: 'people' | 'programs',
  output: Output,
): Promise<StepTime[]> {
  const times: StepTime[] = [];
  const tasks = steps.map((step): ListrTask => ({
    title: step.title,
    task: async (_, task) => {
      const start = performance.now();
      const say = (text: string): void => {
        task.output = text;
        if (mode === 'programs') output.event({ type: 'progress', step: step.name, text });
      };
      try {
        await step.run(say);
      } catch (error) {
        throw new StepFailed(step, error);
      }
      const seconds = Math.round((performance.now() - start) / 100) / 10;
      times.push({ name: step.name, seconds });
      const text = `${step.title}: ${seconds} s`;
      if (mode === 'programs') output.event({ type: 'step', step: step.name, seconds, text });
    },
    rendererOptions: { timer: PRESET_TIMER },
  }));
  const list = new Listr(tasks, {
    renderer: mode === 'people' ? 'default' : 'silent',
    fallbackRenderer: mode === 'people' ? 'verbose' : 'silent',
    rendererOptions: { collapseErrors: false, showErrorMessage: false },
    fallbackRendererOptions: { timer: PRESET_TIMER },
    registerSignalListeners: false,
  });
  await list.run();
  return times;
}
