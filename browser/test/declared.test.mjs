/** What Stripe's type declarations have that types can't be held against: names of events, and of style. MODULES: where the packages are. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { VARIABLES, declarationsOf } from '../src/frame/style.ts';
import { EVENTS } from '../src/page/element.ts';

test('every variable that is taken has an effect', () => {
  const style = readFileSync(path.join(import.meta.dirname, '../src/frame/frame.css'), 'utf8');
  assert.deepEqual(VARIABLES.filter((name) => !style.includes(`var(--${name}`)), []);
});

const VERSIONS = ['@stripe/stripe-js', 'stripe-js-of-2025'];
const declared = (version, file) => readFileSync(path.join(process.env.MODULES, version, 'dist/stripe-js/elements', `${file}.d.ts`), 'utf8');

for (const version of VERSIONS) {
  test(`no event of ${version} is unheard of`, () => {
    for (const element of ['card', 'card-number', 'card-expiry', 'card-cvc', 'payment', 'address']) {
      const names = new Set([...declared(version, element).matchAll(/eventType: '(\w+)'/g)].map(([, name]) => name));
      assert.ok(names.has('change'), element);
      assert.deepEqual([...names].filter((name) => !EVENTS.includes(name)), [], element);
    }
  });

  test(`no style of ${version} is dropped`, () => {
    const [, body] = /interface StripeElementCSSProperties \{(.*?)\n\}/s.exec(declared(version, 'base'));
    const names = [...body.matchAll(/^ {2}(\w+)\?:/gm)].map(([, name]) => name);
    assert.ok(names.length > 10);
    assert.deepEqual(names.filter((name) => declarationsOf({ [name]: 'inherit' }).length === 0), []);
  });
}
