import test from 'ava';

import { judgeDiagnosis } from '../../../provisioner/check/diagnosis.ts';
import { complaints } from '../../../provisioner/node/yunohost/diagnosis.ts';

const report = (id: string, status: string, summary: string) =>
  ({ id, description: id, items: [{ status, summary }] });

const told = (...reports: object[]) => complaints.parse(JSON.stringify({ reports }), 0);

test('what is amiss with the node fails, with what to do', (t) => {
  const check = judgeDiagnosis(told(
    report('web', 'ERROR', 'Domain alice.test appears unreachable'),
    report('services', 'ERROR', 'Service <b>dovecot</b> is failed'),
    report('services', 'WARNING', 'Something else'),
  ));
  t.like(check, { name: 'diagnosis', state: 'failed', measured: 'services: Service dovecot is failed' });
  t.regex(check.advice, /systemctl --failed/);
});

test('what may be so only at the bench is not known', (t) => {
  const check = judgeDiagnosis(told(
    report('web', 'ERROR', 'unreachable'),
    report('ports', 'ERROR', 'Port 80 is not reachable'),
  ));
  t.is(check.state, 'unknown');
  t.regex(check.advice, /router pass 80 and 443 on.*|.*at home/);
});

test('warnings alone are none of ours, and a category that nobody knows is told', (t) => {
  t.like(judgeDiagnosis(told(report('mail', 'WARNING', 'No reverse DNS'))), {
    ...{ state: 'ok', measured: 'no error, 1 warnings' },
  });
  t.like(judgeDiagnosis(told()), { state: 'ok', measured: 'nothing amiss' });
  t.like(judgeDiagnosis(told(report('quantum', 'ERROR', 'decohered'))), { state: 'failed' });
});

test('a node that never looked at itself', (t) => {
  t.is(judgeDiagnosis(complaints.parse('', 0)).state, 'failed');
});
