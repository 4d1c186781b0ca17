import { Writable } from 'node:stream';
import test from 'ava';
import { createOutput, type OutputOptions } from '../../provisioner/terminal.ts';

function capture(options: OutputOptions) {
  const said = { out: '', err: '' };
  const into = (name: 'out' | 'err') =>
    new Writable({
      write(chunk, _encoding, done) {
        said[name] += chunk;
        done();
      },
    });
  return { said, output: createOutput(options, { out: into('out'), err: into('err') }) };
}

test('people read lines, programs one document or one event a line', (t) => {
  const told = (options: OutputOptions) => {
    const { said, output } = capture(options);
    output.say('hello');
    output.event({ type: 'step', text: 'half done' });
    output.result({ ok: true }, 'done');
    return said;
  };
  t.deepEqual(told({}), { out: 'hello\ndone\n', err: 'half done\n' });
  t.deepEqual(told({ json: true }), { out: '{\n  "ok": true\n}\n', err: '' });
  const events = '{"type":"step","text":"half done"}\n{"type":"result","result":{"ok":true}}\n';
  t.deepEqual(told({ jsonEvents: true }), { out: events, err: '' });
});

test('orders to the terminal, by a stick’s name or a node’s words, are not passed on', (t) => {
  const { said, output } = capture({});
  output.result({}, 'Ultra\x1b[2J\x9b Fit\r\n\tgood: für ✓');
  t.is(said.out, 'Ultra�[2J� Fit�\n\tgood: für ✓\n');
});
