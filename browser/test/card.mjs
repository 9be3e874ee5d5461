/** The card element, on a page with a plain script tag. */

import assert from 'node:assert/strict';
import { authenticate, fill } from './typing.mjs';

/** A page with one card element; `window.did` has the events that it saw. */
export const cardPage = (tap, options = '{hidePostalCode: true}', stripe = '{}') => `
<form id="form"><label for="card">Card</label><div id="card" style="padding:12px;border:1px solid #ccc"></div><button>Pay</button></form>
<script>
  var stripe = Stripe('${tap.publishable}', ${stripe}), elements = stripe.elements(), card = elements.create('card', ${options}), did = [];
  for (const name of ['ready', 'change', 'focus', 'blur', 'escape']) card.on(name, (event) => did.push([name, event]));
  card.mount('#card');
</script>`;

const pay = (page, secret, more = {}) =>
  page.evaluate(([secret, more]) => stripe.confirmCardPayment(secret, { payment_method: { card, billing_details: { name: 'Jenny' } }, ...more }), [secret, more]);

export const card = {
  async 'a card that is typed in is paid with'({ page, shop, tap }) {
    await page.goto(shop.page(cardPage(tap, '{}')));
    const frame = page.frameLocator('#card iframe');
    await frame.locator('#number').pressSequentially('378282246310005');
    assert.equal(await frame.locator('#number').inputValue(), '3782 822463 10005');
    await frame.locator('#expiry:focus').pressSequentially('334'); // on to the next field by itself; 3 can only be March
    assert.equal(await frame.locator('#expiry').inputValue(), '03 / 34');
    await frame.locator('#cvc:focus').pressSequentially('1234');
    await frame.locator('#zip').fill('94107');
    const intent = await tap.intent();
    const { paymentIntent } = await pay(page, intent.client_secret);
    assert.equal(await tap.outcome(paymentIntent), 'succeeded');
    const did = await page.evaluate(() => did);
    assert.equal(did[0][0], 'ready');
    const last = did.findLast(([name]) => name === 'change')[1];
    assert.deepEqual([last.elementType, last.brand, last.complete, last.empty, last.value], ['card', 'amex', true, false, { postalCode: '94107' }]);
    assert.match(await page.locator('#card').getAttribute('class'), /^StripeElement\b.*StripeElement--complete/);
    const { latest_charge: charge } = await tap.ask('GET', `/v1/payment_intents/${intent.id}`, { 'expand[]': 'latest_charge' });
    assert.deepEqual([charge.billing_details.name, charge.billing_details.address.postal_code], ['Jenny', '94107']);
    assert.equal(charge.payment_method_details.card.checks.cvc_check, 'pass');
  },

  async 'a card that is declined says why, and another one is taken'({ page, shop, tap }) {
    await page.goto(shop.page(cardPage(tap)));
    const { client_secret: secret } = await tap.intent();
    await fill(page, '#card', { number: '4000000000009995' });
    const { error } = await pay(page, secret);
    assert.deepEqual([error.type, error.code, error.decline_code], ['card_error', 'card_declined', 'insufficient_funds']);
    assert.equal(error.payment_intent.status, 'requires_payment_method');
    await fill(page, '#card');
    assert.equal(await tap.outcome((await pay(page, secret)).paymentIntent), 'succeeded');
  },

  async 'what is missing or wrong is said before anything is sent'({ page, shop, tap }) {
    await page.goto(shop.page(cardPage(tap, '{hidePostalCode: true}', "{locale: 'de'}")));
    const sent = [];
    page.on('request', (request) => { if (request.method() === 'POST') sent.push(request.url()); });
    const { client_secret: secret } = await tap.intent();
    await fill(page, '#card', { number: '4242424242424241' });
    const { error } = await pay(page, secret);
    assert.deepEqual([error.type, error.code, error.message], ['validation_error', 'invalid_number', 'Ihre Kartennummer ist ungültig.']);
    await fill(page, '#card', { cvc: '12' });
    assert.equal((await pay(page, secret)).error.code, 'incomplete_cvc');
    await fill(page, '#card', { expiry: '01 / 20' });
    assert.equal((await page.evaluate(() => stripe.createPaymentMethod({ type: 'card', card }))).error.code, 'invalid_expiry_year_past');
    assert.deepEqual(sent, []);
    assert.match(await page.locator('#card').getAttribute('class'), /StripeElement--invalid/);
  },

  async '3-D Secure is passed in a window over the page'({ page, shop, tap }) {
    await page.goto(shop.page(cardPage(tap)));
    await fill(page, '#card', { number: '4000002760003184' });
    const { client_secret: secret } = await tap.intent();
    const paid = pay(page, secret, { return_url: `${shop.url}/back` }); // where we lead through it, the page stays
    await authenticate(page, 'Complete authentication');
    assert.equal(await tap.outcome((await paid).paymentIntent), 'succeeded');
    assert.equal(await page.locator('dialog').count(), 0);
  },

  async '3-D Secure that fails, or is closed, is an error and no payment'({ page, shop, tap }) {
    await page.goto(shop.page(cardPage(tap)));
    await fill(page, '#card', { number: '4000002760003184' });
    const { client_secret: secret, id } = await tap.intent();
    const failed = pay(page, secret);
    await authenticate(page, 'Fail authentication');
    assert.equal((await failed).error.code, 'payment_intent_authentication_failure');
    assert.equal((await failed).error.payment_intent.status, 'requires_payment_method');
    const closed = pay(page, secret);
    await page.getByRole('button', { name: 'Close' }).click();
    assert.equal((await closed).error.code, 'payment_intent_authentication_failure');
    assert.equal((await tap.ask('GET', `/v1/payment_intents/${id}`)).amount_received, 0);
  },

  async 'the page goes on itself where it asks to, and where the server confirmed'({ page, shop, tap }) {
    await page.goto(shop.page(cardPage(tap)));
    await fill(page, '#card', { number: '4000002760003184' });
    const { client_secret: secret } = await tap.intent();
    const { paymentIntent } = await page.evaluate((secret) => stripe.confirmCardPayment(secret, { payment_method: { card } }, { handleActions: false }), secret);
    assert.equal(paymentIntent.next_action.type, 'use_stripe_sdk');
    const passed = page.evaluate((secret) => stripe.handleNextAction({ clientSecret: secret }), secret);
    await authenticate(page, 'Complete authentication');
    assert.equal(await tap.outcome((await passed).paymentIntent), 'succeeded');
    const redirected = await tap.intent({ payment_method: 'pm_card_threeDSecure2Required', confirm: true, return_url: `${shop.url}/back?order=1` });
    await page.evaluate((secret) => void stripe.handleNextAction({ clientSecret: secret }), redirected.client_secret);
    await page.getByRole('button', { name: 'Complete authentication' }).click();
    await page.waitForURL(/back\?order=1&payment_intent=.*redirect_status=succeeded/);
  },

  async 'a card is kept, and paid with again'({ page, shop, tap }) {
    await page.goto(shop.page(cardPage(tap)));
    const customer = await tap.ask('POST', '/v1/customers');
    const setup = await tap.ask('POST', '/v1/setup_intents', { customer: customer.id });
    await fill(page, '#card', { number: '4000002760003184' });
    const kept = page.evaluate((secret) => stripe.confirmCardSetup(secret, { payment_method: { card } }), setup.client_secret);
    await authenticate(page, 'Complete authentication');
    const { setupIntent } = await kept;
    assert.equal(setupIntent.status, 'succeeded');
    const { client_secret: secret } = await tap.intent({ customer: customer.id });
    const again = page.evaluate(([secret, method]) => stripe.confirmCardPayment(secret, { payment_method: method }), [secret, setupIntent.payment_method]);
    await authenticate(page, 'Complete authentication');
    assert.equal(await tap.outcome((await again).paymentIntent), 'succeeded');
  },

  async 'a payment method is made for the merchant’s server'({ page, shop, tap }) {
    await page.goto(shop.page(cardPage(tap)));
    await fill(page, '#card', { number: '5555555555554444' });
    const { paymentMethod } = await page.evaluate(() => stripe.createPaymentMethod({ type: 'card', card, billing_details: { email: 'jenny@example.com' } }));
    assert.deepEqual([paymentMethod.card.brand, paymentMethod.card.last4, paymentMethod.billing_details.email], ['mastercard', '4444', 'jenny@example.com']);
    assert.equal(paymentMethod.card.fingerprint, undefined);
    assert.equal(await tap.outcome(await tap.intent({ payment_method: paymentMethod.id, confirm: true })), 'succeeded');
  },

  async 'a token is made of a card, and of whose it is'({ page, context, shop, tap }) {
    await page.goto(shop.page(cardPage(tap, '{}')));
    await fill(page, '#card', { zip: '94107' });
    let sent;
    await context.route('**/v1/tokens', (route) => {
      sent = Object.fromEntries(new URLSearchParams(route.request().postData()));
      return route.fulfill({ json: { id: 'tok_1', object: 'token' } });
    });
    const { token } = await page.evaluate(() => stripe.createToken(card, { name: 'Jenny' }));
    assert.equal(token.id, 'tok_1');
    const card = { number: '4242424242424242', exp_month: '12', exp_year: '2034', cvc: '123', name: 'Jenny', address_zip: '94107' };
    assert.deepEqual(sent, Object.fromEntries(Object.entries(card).map(([name, value]) => [`card[${name}]`, value])));
  },

  async 'Enter in a field presses the form’s button, unless that is disabled'({ page, shop, tap }) {
    await page.goto(shop.page(`${cardPage(tap)}<script>
      var noted = [], button = document.querySelector('button');
      button.onclick = () => noted.push('pressed');
      document.querySelector('#form').onsubmit = (event) => { event.preventDefault(); noted.push('sent'); button.disabled = true; };
      card.on('escape', () => { noted.push('escaped'); });
    </script>`));
    for (const key of ['Enter', 'Enter', 'Escape']) await page.frameLocator('#card iframe').locator('#number').press(key);
    await page.waitForFunction(() => noted.at(-1) === 'escaped'); // messages of a frame come in their order
    assert.deepEqual(await page.evaluate(() => noted), ['pressed', 'sent', 'escaped']);
  },

  async 'a field that the buyer goes to is seen, however narrow the card is'({ page, shop, tap }) {
    await page.goto(shop.page(`<div style="width: 280px">${cardPage(tap, '{}')}</div>`));
    const frame = page.frameLocator('#card iframe');
    const widths = () => frame.locator('.line').evaluate((line) => [...line.querySelectorAll('input')].map((each) => Math.round(each.getBoundingClientRect().width)));
    await frame.locator('#number').fill('4242');
    assert.deepEqual((await widths()).slice(1), [0, 0, 0]);
    await page.keyboard.press('Tab');
    assert.equal((await widths()).every((width) => width > 20), true, String(await widths()));
    await fill(page, '#card', { zip: '94107' });
    const cut = await frame.locator('.line').evaluate((line) => [...line.querySelectorAll('input:not(#number)')].filter((each) => each.scrollWidth > each.clientWidth + 1).map(({ id }) => id));
    assert.deepEqual(cut, []);
  },

  async 'a payment goes on when the network is back, and is made once, however often a buyer presses'({ page, context, shop, tap }) {
    await page.goto(shop.page(cardPage(tap)));
    await fill(page, '#card');
    const { client_secret: secret, id } = await tap.intent();
    const lost = page.waitForEvent('requestfailed');
    await context.setOffline(true);
    const presses = [pay(page, secret), pay(page, secret)];
    await lost;
    await context.setOffline(false);
    const answers = await Promise.all(presses);
    const paid = answers.filter(({ paymentIntent }) => paymentIntent);
    assert.ok(paid.length > 0, JSON.stringify(answers));
    assert.equal(await tap.outcome(paid[0].paymentIntent), 'succeeded');
    assert.deepEqual((await tap.ask('GET', '/v1/charges', { payment_intent: id })).data.map(({ status }) => status), ['succeeded']);
  },

  async 'a payment whose answer is lost is paid once'({ page, context, shop, tap }) {
    await page.goto(shop.page(cardPage(tap)));
    await fill(page, '#card');
    const keys = [];
    await context.route('**/confirm', async (route) => {
      keys.push(route.request().headers()['idempotency-key']);
      if (keys.length > 1) return route.continue();
      await route.fetch(); // it was paid, and nobody was told
      return route.abort('connectionreset');
    });
    const { client_secret: secret, id } = await tap.intent();
    assert.equal(await tap.outcome((await pay(page, secret)).paymentIntent), 'succeeded');
    assert.deepEqual([keys.length, new Set(keys).size], [2, 1]);
    assert.equal((await tap.ask('GET', '/v1/charges', { payment_intent: id })).data.length, 1);
  },
};
