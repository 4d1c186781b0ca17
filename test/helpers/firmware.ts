// Lets Node import the meter's pure parts as they are. They name each other `./wire.js`, because
// the meter's compiler takes no `.ts` suffix; this hook finds `wire.ts`. Import it before a part,
// and the part itself with `await import(…)`.
import { registerHooks } from 'node:module';

registerHooks({
  resolve(specifier, context, next) {
    const inFirmware = context.parentURL?.includes('/firmware/') === true;
    if (inFirmware && specifier.startsWith('./') && specifier.endsWith('.js'))
      return next(specifier.replace(/\.js$/, '.ts'), context);
    return next(specifier, context);
  },
});
