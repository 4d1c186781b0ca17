// The steps of a slow test, which build on each other: a line each, and their sum at the end.

export interface Steps {
  /**
   * Takes a step, unless one before it failed: it would only fail for the same reason. What `work`
   * resolves to is told beside it.
   */
  step(about: string, work: () => Promise<string | void>): Promise<void>;
  /** Prints `N passed, N failed`, and exits: with 0 if there were steps, and none failed. */
  end(): never;
}

/** @param signal when it is aborted, no further step is taken */
export function createSteps(signal?: AbortSignal): Steps {
  let [passed, failed] = [0, 0];
  return {
    async step(about, work) {
      if (failed > 0 || signal?.aborted) return;
      const startMs = performance.now();
      const seconds = (): string => `${((performance.now() - startMs) / 1000).toFixed(0)} s`;
      try {
        const told = await work();
        passed++;
        console.log(`ok      ${about}${told ? `: ${told}` : ''} (${seconds()})`);
      } catch (error) {
        failed++;
        const why = error instanceof Error ? error.stack : String(error);
        console.log(`FAILED  ${about} (${seconds()})\n  ${why}`);
      }
    },
    end() {
      console.log(`${passed} passed, ${failed} failed`);
      process.exit(failed === 0 && passed > 0 ? 0 : 1);
    },
  };
}
