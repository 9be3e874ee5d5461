/** A merchant's page whose script was taken over, and windows of others: what they can't do. */

import assert from 'node:assert/strict';
import { cardPage } from './card.mjs';
import { fill } from './typing.mjs';

/** Runs before all else in the merchant's page, and listens wherever a script may. */
function spy() {
  const heard = (window.heard = []);
  const note = (value) => {
    try {
      heard.push(typeof value === 'string' ? value : (original.stringify(value) ?? ''));
    } catch {
      heard.push(String(value));
    }
  };
  const original = { stringify: JSON.stringify, parse: JSON.parse, fetch: window.fetch, on: EventTarget.prototype.addEventListener, post: MessagePort.prototype.postMessage };
  const onmessage = Object.getOwnPropertyDescriptor(MessagePort.prototype, 'onmessage');
  JSON.stringify = (...given) => { note(given[0]); return original.stringify(...given); };
  JSON.parse = (...given) => { note(given[0]); return original.parse(...given); };
  window.fetch = (...given) => { note(given); return original.fetch(...given); };
  XMLHttpRequest.prototype.send = function send(body) { note(body); };
  MessagePort.prototype.postMessage = function post(...given) { note(given[0]); return original.post.apply(this, given); };
  Object.defineProperty(MessagePort.prototype, 'onmessage', {
    set(handler) { onmessage.set.call(this, (event) => { note(event.data); handler(event); }); },
  });
  for (const name of ['message', 'keydown', 'keypress', 'input', 'paste', 'beforeinput', 'compositionend', 'change']) {
    original.on.call(window, name, (event) => note([name, event.data, event.key, event.target?.value]), true);
  }
  for (const name of ['number', 'card', 'cvc', 'payment_method_data']) {
    Object.defineProperty(Object.prototype, name, { set(value) { note([name, value]); Object.defineProperty(this, name, { value, writable: true, enumerable: true, configurable: true }); }, get() { return undefined; }, configurable: true });
  }
  window.look = () => {
    const seen = [document.documentElement.outerHTML, original.stringify({ ...localStorage, ...sessionStorage }), document.cookie];
    const refusals = [];
    for (let at = 0; at < frames.length; at++) {
      for (const reach of [(frame) => frame.document.body.innerHTML, (frame) => frame.tapForm.card(), (frame) => frame.eval('1'), (frame) => frame.location.href]) {
        try { note(reach(frames[at])); } catch (refusal) { refusals.push(refusal.name); }
      }
    }
    for (const entry of performance.getEntries()) seen.push(original.stringify(entry));
    return { text: [...heard, ...seen].join('\n'), refusals };
  };
}

export const hostile = {
  async 'the merchant’s page can read nothing of a card'({ page, shop, tap }) {
    await page.goto(shop.page(cardPage(tap), { head: `<script>(${spy})()</script>` }));
    const frame = page.frameLocator('#card iframe');
    await frame.locator('#number').pressSequentially('4242424242424242');
    await frame.locator('#expiry').fill('12 / 34');
    await frame.locator('#cvc').fill('987');
    const { client_secret: secret } = await tap.intent();
    const { paymentIntent } = await page.evaluate((secret) => stripe.confirmCardPayment(secret, { payment_method: { card } }), secret);
    assert.equal(await tap.outcome(paymentIntent), 'succeeded');
    const made = await page.evaluate(() => stripe.createPaymentMethod({ type: 'card', card }));
    assert.equal(made.paymentMethod.card.last4, '4242');
    const { text, refusals } = await page.evaluate(() => look());
    assert.ok(text.includes('"visa"'), 'what the page may see, the spy sees');
    const digits = text.replace(/[ \u00a0]/g, '');
    assert.ok(!digits.includes('42424242'), 'a part of the number');
    assert.ok(!/"?cvc"?[":,]+"?987/.test(digits), 'the code');
    assert.deepEqual(new Set(refusals), new Set(['SecurityError']));
    assert.equal(refusals.length, 4);
  },

  async 'a forged message gets no answer, whoever sends it'({ page, context, shop, tap }) {
    await page.goto(shop.page(`${cardPage(tap)}<iframe id="other" src="${shop.url}/none"></iframe>`));
    await fill(page, '#card');
    const opening = `{tap: 'open', type: 'card', group: 'x', settings: {options: {}, appearance: {}, locale: 'en', direction: 'ltr', fonts: [], saved: null}}`;
    const forge = `(target) => new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = ({ data }) => resolve(data);
      target.postMessage(${opening}, '*', [port2]);
      port1.postMessage({ does: 'request', number: 1, request: { what: 'value' } });
      setTimeout(() => resolve('silence'), 400);
    })`;
    // A second port, from the page itself: the frame has one already.
    assert.equal(await page.evaluate(`(${forge})(frames[0])`), 'silence');
    // From another frame beside it.
    const other = page.frames().find((each) => each.url().endsWith('/none'));
    assert.equal(await other.evaluate(`(${forge})(parent.frames[0])`), 'silence');
    // A frame in a window of its own, whoever opened it.
    const [popup] = await Promise.all([context.waitForEvent('page'), page.evaluate(() => { window.popup = open(document.querySelector('#card iframe').src); })]);
    await popup.waitForLoadState();
    assert.equal(await page.evaluate(`(${forge})(popup)`), 'silence');
    assert.equal(await popup.locator('input').count(), 0);
    // Through its own port, with a secret key, or to somewhere else.
    const asked = await page.evaluate(() => card.request({ what: 'payment_method', access: { key: 'sk_test_1' }, params: {} }));
    assert.equal(asked.error.message, 'A frame takes publishable keys only.');
    const led = await page.evaluate(() => card.request({ what: 'confirm', access: { key: 'pk_test_1' }, params: {}, secret: 'pi_1/../../x_secret_1' }));
    assert.match(led.error.message, /No client secret/);
  },

  async 'a wrong client secret, or a key that was revoked, pays nothing and says so'({ page, shop, tap }) {
    await page.goto(shop.page(cardPage(tap)));
    await fill(page, '#card');
    const { id } = await tap.intent();
    const { error } = await page.evaluate((secret) => stripe.confirmCardPayment(secret, { payment_method: { card } }), `${id}_secret_wrong`);
    assert.equal(error.type, 'invalid_request_error');
    const fault = await page.evaluate((secret) => new Promise((resolve) => {
      stripe.elements({ clientSecret: secret }).create('payment').on('loaderror', resolve).mount('#form');
    }), `${id}_secret_wrong`);
    assert.deepEqual([fault.elementType, fault.error.type], ['payment', 'invalid_request_error']);
    const revoked = await page.evaluate((secret) => Stripe(`pk_test_${'0'.repeat(48)}`).confirmCardPayment(secret, { payment_method: 'pm_card_visa' }), `${id}_secret_wrong`);
    assert.match(revoked.error.message, /^Invalid API Key provided/);
    assert.equal((await tap.ask('GET', `/v1/payment_intents/${id}`)).status, 'requires_payment_method');
  },

  async 'style is taken, and nothing that it could smuggle in'({ page, shop, tap }) {
    const style = { base: { color: 'rgb(1, 2, 3)', fontSize: '20px', backgroundImage: 'url(https://evil.example/x)', '::placeholder': { color: 'red; } * { display: none' } } };
    await page.goto(shop.page(cardPage(tap, JSON.stringify({ style }))));
    const asked = [];
    page.on('request', (request) => asked.push(new URL(request.url()).hostname));
    const input = page.frameLocator('#card iframe').locator('#number');
    await input.fill('4242');
    assert.deepEqual(await input.evaluate((each) => [getComputedStyle(each).color, getComputedStyle(each).fontSize, getComputedStyle(each).backgroundImage]), ['rgb(1, 2, 3)', '20px', 'none']);
    assert.ok(!asked.includes('evil.example'));
  },
};
