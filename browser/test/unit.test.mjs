/** The pure parts: how cards are written, what is wrong with them, what is sent, and what style is let through. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { call, confirm, encodeForm, idOfSecret } from '../src/shared/api.ts';
import { brandOf, expiryOf, flawOfCvc, flawOfExpiry, flawOfNumber, formatExpiry, formatNumber, passesLuhn, reformatted } from '../src/shared/cards.ts';
import { LANGUAGES, languageOf, wordsIn } from '../src/shared/words.ts';
import { cut } from '../src/docs/cut.ts';
import { meant } from '../src/docs/form.ts';
import { declarationsOf, rulesOf, variablesOf } from '../src/frame/style.ts';

const FORM = 'application/x-www-form-urlencoded';
const CARDS = {
  visa: ['4242 4242 4242 4242', '4000 0566 5566 5556'],
  mastercard: ['5555 5555 5555 4444', '2223 0031 2200 3222', '5200 8282 8282 8210'],
  amex: ['3782 822463 10005', '3714 496353 98431'],
  discover: ['6011 1111 1111 1117', '6555 9000 0060 4105'],
  diners: ['3056 9300 0902 0004', '3622 720627 1667'],
  jcb: ['3566 0020 2036 0505'],
  unionpay: ['6200 0000 0000 0005'],
};

test('numbers are grouped as they are printed, whatever is between their digits', () => {
  for (const [brand, numbers] of Object.entries(CARDS)) {
    for (const number of numbers) {
      const digits = number.replaceAll(' ', '');
      assert.equal(brandOf(digits).name, brand, number);
      assert.equal(formatNumber(digits), number);
      assert.equal(formatNumber([...digits].join('-')), number);
      assert.equal(formatNumber(number + 'x'), number);
      assert.equal(flawOfNumber(number), null);
      const wrong = digits.slice(0, -1) + String((Number(digits.at(-1)) + 1) % 10);
      assert.equal(flawOfNumber(wrong), 'invalid_number');
      assert.notEqual(flawOfNumber(digits.slice(0, -2)), null);
    }
  }
  assert.equal(formatNumber('٤٢٤٢'), '4242');
  assert.equal(formatNumber('4242 4242 4242 4242 424 999'), '4242 4242 4242 4242 424');
});

test('one changed digit, or two that changed places, fail Luhn’s check', () => {
  const digits = '4242424242424242';
  assert.ok(passesLuhn(digits));
  assert.ok(!passesLuhn(''));
  for (let at = 0; at < digits.length; at++) {
    for (let by = 1; by < 10; by++) assert.ok(!passesLuhn(digits.slice(0, at) + ((Number(digits[at]) + by) % 10) + digits.slice(at + 1)));
  }
});

test('expiry dates are taken as they are typed, pasted and filled in', () => {
  for (const [typed, shown] of [['1', '1'], ['2', '02 / '], ['12', '12 / '], ['123', '12 / 3'], ['1234', '12 / 34'], ['12/34', '12 / 34'], ['1/34', '01 / 34'], ['12/2034', '12 / 34'], ['05-30', '05 / 30'], ['', '']]) {
    assert.equal(formatExpiry(typed), shown, typed);
  }
  assert.equal(formatExpiry('12 / ', true), '12');
  assert.deepEqual(expiryOf('03 / 34'), { month: 3, year: 2034 });
});

test('what is wrong with a date is said by month and year', () => {
  const today = new Date(2026, 10, 27);
  for (const [text, flaw] of [['11 / 26', null], ['10 / 26', 'invalid_expiry_month_past'], ['12 / 25', 'invalid_expiry_year_past'], ['12 / 99', 'invalid_expiry_year'], ['12 / 3', 'incomplete_expiry'], ['', 'incomplete_expiry']]) {
    assert.equal(flawOfExpiry(text, today), flaw, text);
  }
});

test('codes are as long as their brand has them', () => {
  assert.equal(flawOfCvc('123', brandOf('4')), null);
  assert.equal(flawOfCvc('1234', brandOf('4')), 'incomplete_cvc');
  assert.equal(flawOfCvc('123', brandOf('34')), 'incomplete_cvc');
  assert.equal(flawOfCvc('1234', brandOf('34')), null);
});

test('the caret stays after the digits that it was after', () => {
  assert.deepEqual(reformatted('42424', 5, formatNumber), { text: '4242 4', caret: 6 });
  assert.deepEqual(reformatted('42942 4242', 3, formatNumber), { text: '4294 2424 2', caret: 3 });
});

test('each language has each word, and others are read in English', () => {
  const words = Object.keys(wordsIn('en')).sort();
  for (const language of LANGUAGES) {
    assert.deepEqual(Object.keys(wordsIn(language)).sort(), words);
    assert.ok(Object.values(wordsIn(language)).every((word) => word.length > 0));
  }
  assert.equal(languageOf('auto', ['ko-KR', 'fr-CA']), 'fr');
  assert.equal(languageOf('de-AT', ['fr']), 'de');
  assert.equal(languageOf('ko', ['fr']), 'en');
});

test('parameters are sent as Stripe’s are', () => {
  assert.deepEqual(encodeForm({ a: { b: [1, 'x&y'], c: null, d: undefined, e: false } }).map(decodeURIComponent), ['a[b][0]=1', 'a[b][1]=x&y', 'a[c]=', 'a[e]=false']);
  assert.equal(idOfSecret('pi_1_secret_2'), 'pi_1');
});

const answer = (status, body, headers = {}) => new Response(JSON.stringify(body), { status, headers });
const access = { key: 'pk_test_1' };
const pause = async () => undefined;

test('a call is repeated under one key, until it has an answer', async () => {
  const keys = [];
  const replies = [() => { throw new TypeError('lost'); }, () => answer(503, {}), () => answer(409, {}), () => answer(200, { id: 'pm_1' })];
  const send = async (_, { headers }) => { keys.push(headers['Idempotency-Key']); return replies.shift()(); };
  assert.deepEqual(await call('', 'POST', '/v1/payment_methods', {}, access, { fetch: send, pause }), { status: 200, body: { id: 'pm_1' } });
  assert.deepEqual([keys.length, new Set(keys).size], [4, 1]);
});

test('what shall not be repeated isn’t', async () => {
  let count = 0;
  const send = async () => { count++; return answer(409, {}, { 'Stripe-Should-Retry': 'false' }); };
  assert.equal((await call('', 'POST', '/v1/x', {}, access, { fetch: send, pause })).status, 409);
  assert.equal(count, 1);
});

for (const status of ['succeeded', 'processing', 'requires_action', 'requires_capture', 'canceled']) {
  test(`a confirmation without an answer is asked for: ${status}`, async () => {
    const send = async (_, { method }) => { if (method === 'POST') throw new TypeError('lost'); return answer(200, { status }); };
    assert.equal((await confirm('', 'pi_1_secret_2', {}, access, { fetch: send, pause })).body.status, status);
  });
}

for (const status of [409, 429, 503]) {
  test(`a confirmation that is still under way when nobody asks on is told as that: HTTP ${status}`, async () => {
    let intent = { status: 'processing' };
    const send = async (_, { method }) => (method === 'POST' ? answer(status, { error: { message: 'busy' } }) : answer(200, intent));
    const ask = () => confirm('', 'pi_1_secret_2', {}, access, { fetch: send, pause });
    assert.deepEqual(await ask(), { status: 200, body: intent });
    intent = { status: 'requires_payment_method' };
    assert.equal((await ask()).body.error.message, 'busy');
  });
}

test('a connection that is silent is given up', async () => {
  const signals = [];
  const send = async (_, { signal }) => { signals.push(signal instanceof AbortSignal); return answer(200, {}); };
  await call('', 'GET', '/v1/x', {}, access, { fetch: send, pause });
  assert.deepEqual(signals, [true]);
});

test('a confirmation that did nothing and has no answer is an error', async () => {
  const send = async (_, { method }) => { if (method === 'POST') throw new TypeError('lost'); return answer(200, { status: 'requires_payment_method' }); };
  await assert.rejects(confirm('', 'pi_1_secret_2', {}, access, { fetch: send, pause }), TypeError);
});

test('style has known properties, of which none loads or escapes', () => {
  const style = { color: 'red', fontSize: 16, backgroundImage: 'url(x)', position: 'fixed', background: 'red', letterSpacing: 'url(//x)', padding: '1px;}', lineHeight: 'image-set("x" 1x)', '--x': 'y', fontFamily: '\\75 rl(x)' };
  assert.deepEqual(declarationsOf(style), [['color', 'red'], ['font-size', '16']]);
  assert.deepEqual(variablesOf({ variables: { colorPrimary: '#f00', evil: '1', borderRadius: 'url(x)' } }), [['--colorPrimary', '#f00']]);
  const selectors = ['.Input', '.Input:focus', '.Input--invalid', '.Label', 'body', '.Input, body', '.Input::after', '.Input + .Input', ':root'];
  const rules = rulesOf({}, { rules: Object.fromEntries(selectors.map((each) => [each, { color: 'red' }])) });
  assert.deepEqual(rules.map(([selector]) => selector), ['.Input', '.Input:focus', '.Input--invalid', '.Label']);
});

test('a form of the page on the API is sent as it is meant', () => {
  const form = new URLSearchParams({ name: '', email: '""', 'metadata': '{"a": 1, "b": "{}"}', 'x[metadata]': '{"c": "d"}', description: '{"not": "metadata"}', other: 'metadata' });
  assert.deepEqual(
    [...new URLSearchParams(meant(form.toString()))],
    [['email', ''], ['metadata[a]', '1'], ['metadata[b]', '{}'], ['x[metadata][c]', 'd'], ['description', '{"not": "metadata"}'], ['other', 'metadata']],
  );
});

test('in what the page on the API shows, no object refers to another one', () => {
  const reference = (name) => ({ $ref: `#/components/schemas/${name}` });
  const object = (name, properties) => ({ type: 'object', properties: { id: { type: 'string' }, object: { type: 'string', enum: [name] }, ...properties } });
  const described = {
    components: {
      responses: { BadRequest: { description: 'a', content: {} }, Conflict: { description: 'b', content: {} } },
      schemas: {
        a: object('a', { b: { anyOf: [{ type: 'string', pattern: '^b_' }, reference('b'), { type: 'null' }] } }),
        b: object('b', { a: reference('a') }),
        hash: { type: 'object', properties: { name: { type: 'string', default: 'x' }, list: { type: 'array', items: { type: 'string' } } }, required: ['name'] },
        taken: {
          type: 'object', required: ['one'],
          properties: { either: { anyOf: [{ type: 'string', enum: [''] }, reference('hash')] }, lines: { type: 'array', items: reference('hash') }, one: reference('hash') },
        },
      },
    },
    paths: { '/x': { post: { requestBody: { content: { [FORM]: { schema: reference('taken') }, 'application/json': { schema: reference('taken') } } } } } },
  };
  const shown = cut(described);
  assert.deepEqual(shown.components.schemas.a.properties.b, { type: ['string', 'null'], pattern: '^b_', description: 'Expanded: b' });
  assert.deepEqual(shown.components.schemas.b.properties.a, { type: 'object', description: 'a' });
  assert.deepEqual(shown.components.responses, { BadRequest: { description: 'a', content: {} }, Conflict: { description: 'b' } });
  const { [FORM]: form, ...others } = shown.paths['/x'].post.requestBody.content;
  assert.deepEqual(others, {});
  assert.deepEqual(Object.keys(form.schema.properties), ['one[name]', 'either[name]', 'either[list][]', 'lines[0][name]', 'lines[0][list][]', 'one[list][]']);
  assert.deepEqual(form.schema.required, ['one[name]']);
  assert.deepEqual(form.schema.properties['one[name]'], { type: 'string', description: 'Default: x.', example: '' });
});
