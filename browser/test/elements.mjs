/** Split fields, the payment element, Stripe's React library. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { line } from './hosted.mjs';
import { authenticate, fill } from './typing.mjs';

const splitPage = (tap) => `
<div id="number"></div><div id="expiry"></div><div id="cvc"></div>
<script>
  var stripe = Stripe('${tap.publishable}'), elements = stripe.elements(), changes = {};
  for (const [type, where] of [['cardNumber', '#number'], ['cardExpiry', '#expiry'], ['cardCvc', '#cvc']]) {
    const element = elements.create(type);
    element.on('change', (event) => { changes[type] = event; });
    element.mount(where);
  }
  var other = stripe.elements().create('cardCvc');
</script>`;

const reactPage = (shop, settings, script = '/react.js') => shop.page(`<div id="root"></div><script>var shop = ${JSON.stringify(settings)}</script><script src="${script}"></script>`);

/** What a page says of a payment whose outcome may take a while. */
const PAID = /^(succeeded|processing)$/;

export const elements = {
  async 'a card in three frames is one card'({ page, shop, tap }) {
    await page.goto(shop.page(splitPage(tap)));
    const type = (where, text) => page.frameLocator(`${where} iframe`).locator('input').first().pressSequentially(text);
    await type('#number', '4242424242424242');
    await page.frameLocator('#expiry iframe').locator('input:focus').waitFor(); // on to the next by itself
    await type('#expiry', '1234');
    await type('#cvc', '1');
    const { client_secret: secret } = await tap.intent();
    const pay = () => page.evaluate((secret) => stripe.confirmCardPayment(secret, { payment_method: { card: elements.getElement('cardNumber') } }), secret);
    assert.equal((await pay()).error.code, 'incomplete_cvc');
    await type('#cvc', '23');
    assert.equal(await tap.outcome((await pay()).paymentIntent), 'succeeded');
    // A browser fills a card in where its number is.
    for (const [name, text] of [['expiry', '11/33'], ['cvc', '987']]) await page.frameLocator('#number iframe').locator(`#filled-${name}`).fill(text, { force: true });
    for (const [where, text] of [['#expiry', '11 / 33'], ['#cvc', '987']]) assert.equal(await page.frameLocator(`${where} iframe`).locator('input').inputValue(), text);
    const { cardNumber } = await page.evaluate(() => changes);
    assert.deepEqual([cardNumber.brand, cardNumber.complete], ['visa', true]);
    assert.match(await page.evaluate(() => elements.getElement('cardCvc').getValue && stripe.createToken(elements.getElement('cardCvc')).catch(String)), /IntegrationError/);
  },

  async 'Stripe’s React library takes a payment with its payment element'({ page, shop, tap }) {
    const { client_secret: secret, id } = await tap.intent();
    await page.goto(reactPage(shop, { key: tap.publishable, secret, back: `${shop.url}/back`, redirect: 'if_required', appearance: { theme: 'night' } }));
    await page.getByText('ready').waitFor();
    await fill(page, '#payment', { number: '4000000000000002' });
    await page.frameLocator('#payment iframe').locator('#country').selectOption('DE');
    await page.getByRole('button', { name: 'Pay' }).click();
    await page.getByText('card_declined').waitFor();
    await fill(page, '#payment', { number: '4000002760003184' });
    await page.getByRole('button', { name: 'Pay' }).click();
    await authenticate(page, 'Complete authentication');
    await page.getByText(PAID).waitFor();
    assert.equal(await tap.outcome({ id }), 'succeeded');
  },

  async 'a payment element leads back to the merchant when it paid'({ page, shop, tap }) {
    const { client_secret: secret, id } = await tap.intent();
    await page.goto(reactPage(shop, { key: tap.publishable, secret, back: `${shop.url}/back?order=7`, redirect: 'always' }));
    await page.getByText('ready').waitFor();
    await page.getByRole('button', { name: 'Pay' }).click();
    await page.getByText('incomplete_number').waitFor();
    await page.frameLocator('#payment iframe').getByText('Your card number is incomplete.').waitFor();
    await fill(page, '#payment', {});
    await page.frameLocator('#payment iframe').locator('#country').selectOption('US');
    await page.frameLocator('#payment iframe').locator('#zip').fill('94107');
    await page.getByRole('button', { name: 'Pay' }).click();
    await page.waitForURL((url) => url.searchParams.get('redirect_status') === 'succeeded');
    const given = new URL(page.url()).searchParams;
    assert.deepEqual([given.get('order'), given.get('payment_intent'), given.get('payment_intent_client_secret')], ['7', id, secret]);
  },

  async 'the card that a payment has already is offered again, in last year’s libraries'({ page, shop, tap }) {
    const customer = await tap.ask('POST', '/v1/customers');
    const method = await tap.ask('POST', '/v1/payment_methods/pm_card_visa/attach', { customer: customer.id });
    const { client_secret: secret, id } = await tap.intent({ customer: customer.id, payment_method: method.id });
    await page.goto(reactPage(shop, { key: tap.publishable, secret, back: `${shop.url}/back`, redirect: 'if_required' }, '/react-2025.js'));
    await page.frameLocator('#payment iframe').getByText('•••• 4242').waitFor();
    await page.getByRole('button', { name: 'Pay' }).click();
    await page.getByText(PAID).waitFor();
    assert.equal(await tap.outcome({ id }), 'succeeded');
  },

  async 'a customer is shown their cards, may take one away, and saves another'({ page, shop, tap }) {
    const customer = await tap.ask('POST', '/v1/customers');
    for (const [card, redisplay] of [['pm_card_visa', 'always'], ['pm_card_mastercard', 'always'], ['pm_card_amex', 'limited']]) {
      const method = await tap.ask('POST', `/v1/payment_methods/${card}/attach`, { customer: customer.id });
      await tap.ask('POST', `/v1/payment_methods/${method.id}`, { allow_redisplay: redisplay });
    }
    const features = Object.fromEntries(['redisplay', 'save', 'remove'].map((name) => [`components[payment_element][features][payment_method_${name}]`, 'enabled']));
    const session = await tap.ask('POST', '/v1/customer_sessions', { customer: customer.id, 'components[payment_element][enabled]': 'true', ...features });
    const cards = async () => (await tap.ask('GET', `/v1/customers/${customer.id}/payment_methods`)).data.map(({ card, allow_redisplay: redisplay }) => `${card.last4} ${redisplay}`).sort();
    const pay = async (change) => {
      const { client_secret: clientSecret } = await tap.intent({ customer: customer.id });
      await page.goto(
        shop.page(`<div id="payment"></div><script>
          var stripe = Stripe('${tap.publishable}'), elements = stripe.elements({clientSecret: '${clientSecret}', customerSessionClientSecret: '${session.client_secret}'}), removed = [];
          elements.create('payment', {fields: {billingDetails: {address: 'never'}}}).on('savedpaymentmethodremove', (event) => removed.push(event)).mount('#payment');
        </script>`),
      );
      await change(page.frameLocator('#payment iframe'));
      const { paymentIntent, error } = await page.evaluate(() => stripe.confirmPayment({ elements, redirect: 'if_required' }));
      assert.equal(error, undefined);
      return paymentIntent;
    };
    const paid = await pay(async (frame) => {
      assert.deepEqual(await frame.locator('.AccordionItem').allInnerTexts().then((all) => all.map((text) => /\d{4}/.exec(text)?.[0])), ['4444', '4242', undefined]);
      await frame.getByText('•••• 4242').click();
    });
    assert.equal(await tap.outcome(paid), 'succeeded');
    await pay(async (frame) => {
      await frame.getByRole('button', { name: 'Remove' }).first().click();
      await frame.getByRole('button', { name: 'Really remove?' }).click();
      await frame.getByText('•••• 4444').waitFor({ state: 'detached' });
      await frame.getByText('Another card').click();
      await frame.getByLabel('Save this card').check();
      await fill(page, '#payment', { number: '6011111111111117' });
    });
    const [event] = await page.evaluate(() => removed);
    assert.deepEqual([event.success, event.elementType], [true, 'payment']);
    assert.deepEqual(await cards(), ['0005 limited', '1117 always', '4242 always']);
  },

  async 'a payment element can be typed into before its intent is known'({ page, context, shop, tap }) {
    const { client_secret: secret } = await tap.intent({ setup_future_usage: 'off_session' });
    let answer;
    await context.route('**/v1/payment_intents/*', async (route) => { await new Promise((resolve) => { answer = resolve; }); await route.continue(); });
    await page.goto(shop.page(`<div id="payment"></div><script>var ready = new Promise((resolve) => {
      Stripe('${tap.publishable}').elements({clientSecret: '${secret}'}).create('payment').on('ready', () => resolve(true)).mount('#payment');
    });</script>`));
    assert.equal(await page.evaluate(() => ready), true);
    const frame = page.frameLocator('#payment iframe');
    await frame.locator('#number').fill('4242');
    answer();
    await frame.getByText('you allow localhost to charge your card').waitFor(); // what the intent says is shown when it is known
    assert.equal(await frame.locator('#number').inputValue(), '4242');
  },

  async 'an element that is moved in the page is empty, says so, and goes on; who paid meanwhile is told that'({ page, context, shop, tap }) {
    await page.goto(shop.page(`<div id="there"></div><div id="card"></div><script>
      var stripe = Stripe('${tap.publishable}'), card = stripe.elements().create('card', {hidePostalCode: true});
      card.mount('#card');
      var move = () => document.querySelector('#there').append(document.querySelector('#card'));
    </script>`));
    await fill(page, '#card');
    const moved = await page.evaluate(() => { move(); return stripe.createPaymentMethod({ type: 'card', card }); });
    assert.match(moved.error.message, /moved in the page, and is empty/);
    assert.equal((await page.evaluate(() => stripe.createPaymentMethod({ type: 'card', card }))).error.code, 'incomplete_number');
    await fill(page, '#card');
    const { client_secret: secret } = await tap.intent();
    let gone;
    await context.route('**/confirm', async (route) => {
      await route.fetch(); // it was paid, and the frame that asked for it is gone
      gone = page.evaluate(() => move());
      await route.abort().catch(() => undefined);
    });
    const { paymentIntent } = await page.evaluate((secret) => stripe.confirmCardPayment(secret, { payment_method: { card } }), secret);
    await gone;
    assert.match(paymentIntent.status, PAID);
  },

  async 'all works within the proxies that a framework such as Vue puts around what it keeps'({ page, shop, tap }) {
    const { client_secret: secret, id } = await tap.intent();
    const embedded = await tap.ask('POST', '/v1/checkout/sessions', { mode: 'payment', ui_mode: 'embedded_page', redirect_on_completion: 'never', ...line(0, 'Scarf', 4900) });
    await page.goto(shop.page(`<div id="payment"></div><div id="checkout"></div><script>
      var known = new WeakMap();
      var wrap = (value) => {
        if (!(value instanceof Map || Array.isArray(value) || Object.prototype.toString.call(value) === '[object Object]')) return value;
        if (!known.has(value)) known.set(value, new Proxy(value, { get: (target, name, self) => {
          const member = Reflect.get(target, name, target instanceof Map ? target : self);
          return target instanceof Map ? member.bind?.(target) ?? member : wrap(member);
        } }));
        return known.get(value);
      };
      var stripe = wrap(Stripe('${tap.publishable}')), elements = wrap(stripe.elements({clientSecret: '${secret}', appearance: {variables: {colorText: 'red'}}}));
      var card = wrap(elements.create('payment', {fields: {billingDetails: {address: 'never'}}}));
      card.mount('#payment');
      var checkout = async () => { const made = wrap(await stripe.createEmbeddedCheckoutPage({clientSecret: '${embedded.client_secret}'})); made.mount('#checkout'); made.destroy(); };
    </script>`));
    await fill(page, '#payment');
    await page.evaluate(() => { card.update({ business: { name: 'Nordlicht' } }); return checkout().then(checkout); });
    const { confirmationToken } = await page.evaluate(() => stripe.createConfirmationToken({ elements }));
    assert.match(confirmationToken.id, /^ctoken_/);
    assert.match((await page.evaluate(() => stripe.confirmPayment({ elements, redirect: 'if_required' }))).paymentIntent.status, PAID);
    assert.equal(await tap.outcome({ id }), 'succeeded');
    assert.equal(await page.evaluate(() => { card.destroy(); return elements.getElement('payment'); }), null);
  },

  async 'a payment whose intent comes later is checked first'({ page, shop, tap }) {
    await page.goto(
      shop.page(`<div id="payment"></div><script>
        var stripe = Stripe('${tap.publishable}'), elements = stripe.elements({mode: 'payment', amount: 2000, currency: 'usd'});
        elements.create('payment', {fields: {billingDetails: {address: {country: 'never', postalCode: 'never'}}}}).mount('#payment');
      </script>`),
    );
    const frame = page.frameLocator('#payment iframe');
    await frame.locator('#number').fill('4242');
    await page.evaluate(() => { elements.update({ locale: 'de' }); elements.getElement('payment').update({ fields: { billingDetails: { name: 'always', address: 'never' } } }); });
    await frame.getByLabel('Vollständiger Name').waitFor(); // what the page says anew is shown anew, and what was typed stays
    assert.equal(await frame.getByLabel('Kartennummer').inputValue(), '4242');
    await page.evaluate(() => { elements.update({ locale: 'en' }); elements.getElement('payment').update({ fields: { billingDetails: { address: { country: 'never', postalCode: 'never' } } } }); });
    await frame.getByLabel('Full name').waitFor({ state: 'detached' });
    const terms = frame.getByText('you allow localhost to charge your card');
    assert.equal(await terms.isVisible(), false);
    await page.evaluate(() => elements.update({ setupFutureUsage: 'off_session' }));
    await terms.waitFor();
    await page.evaluate(() => elements.update({ setupFutureUsage: null }));
    await terms.waitFor({ state: 'hidden' });
    await fill(page, '#payment');
    const { client_secret: secret } = await tap.intent();
    const confirm = () =>
      page.evaluate(
        (clientSecret) => stripe.confirmPayment({ elements, clientSecret, confirmParams: { return_url: location.href }, redirect: 'if_required' }).catch(String),
        secret,
      );
    assert.match(await confirm(), /IntegrationError: elements\.submit\(\) must be called/);
    assert.deepEqual(await page.evaluate(() => elements.submit()), { selectedPaymentMethod: 'card' });
    assert.equal(await tap.outcome((await confirm()).paymentIntent), 'succeeded');

    // or by the merchant's server, once
    const shipping = { name: 'Ada', address: { line1: '1 Main St', country: 'IE' } };
    const { confirmationToken: token } = await page.evaluate((shipping) => stripe.createConfirmationToken({ elements, params: { return_url: location.href, shipping } }), shipping);
    const { card } = token.payment_method_preview;
    assert.deepEqual([card.last4, card.fingerprint, token.payment_intent], ['4242', undefined, null]);
    const paid = await tap.intent({ confirm: 'true', confirmation_token: token.id });
    assert.deepEqual([await tap.outcome(paid), paid.shipping.name], ['succeeded', 'Ada']);
    const used = await tap.ask('GET', `/v1/confirmation_tokens/${token.id}`);
    assert.deepEqual([used.payment_intent, used.expires_at], [paid.id, null]);
    await assert.rejects(tap.intent({ confirm: 'true', confirmation_token: token.id }), /already used/);
  },

  async 'a card is kept with both its addresses, of which a setup intent takes one'({ page, shop, tap }) {
    const customer = await tap.ask('POST', '/v1/customers');
    const { client_secret: secret } = await tap.ask('POST', '/v1/setup_intents', { customer: customer.id });
    await page.goto(
      shop.page(`<div id="payment"></div><div id="billing"></div><div id="shipping"></div><script>
        var stripe = Stripe('${tap.publishable}'), elements = stripe.elements({mode: 'setup', currency: 'eur'}), said;
        elements.create('payment', {defaultValues: {billingDetails: {address: {country: 'DE'}}}}).on('change', ({ value }) => { said = value; }).mount('#payment');
        elements.create('address', {mode: 'billing', defaultValues: {name: 'Ada', address: {country: 'DE'}}}).mount('#billing');
        elements.create('address', {mode: 'shipping', fields: {name: 'never'}, defaultValues: {address: {country: 'DE'}}}).mount('#shipping');
      </script>`),
    );
    await page.frameLocator('#payment iframe').getByText('you allow localhost to charge your card').waitFor();
    await fill(page, '#payment');
    for (const [where, line1] of [['#billing', 'Hauptstraße 1'], ['#shipping', 'Nebenstraße 2']]) {
      for (const [name, text] of Object.entries({ line1, city: 'Bonn', zip: '53111' })) await page.frameLocator(`${where} iframe`).locator(`#${name}`).fill(text);
    }
    assert.equal(await page.frameLocator('#shipping iframe').locator('#name').count(), 0);
    assert.deepEqual(await page.evaluate(() => said), { type: 'card', billingDetails: { address: { country: 'DE', postalCode: null } } });
    await page.evaluate(() => elements.submit());
    const { setupIntent, error } = await page.evaluate((clientSecret) => stripe.confirmSetup({ elements, clientSecret, redirect: 'if_required' }), secret);
    assert.equal(setupIntent?.status, 'succeeded', error?.message);
    const { billing_details: billing } = await tap.ask('GET', `/v1/payment_methods/${setupIntent.payment_method}`);
    assert.deepEqual([billing.name, billing.address.line1], ['Ada', 'Hauptstraße 1']);
  },

  async 'a page with a strict policy, isolated, from right to left, takes a card and an address'({ page, shop, tap }) {
    const policy = `default-src 'none'; script-src ${tap.url} 'nonce-own'; frame-src ${tap.url}; connect-src ${tap.url}`;
    const headers = { 'Content-Security-Policy': policy, 'Cross-Origin-Embedder-Policy': 'require-corp', 'Cross-Origin-Opener-Policy': 'same-origin' };
    const { client_secret: secret, id } = await tap.intent();
    await page.goto(
      shop.page(
        `<div dir="rtl"><div id="payment"></div><div id="address"></div></div><script nonce="own">
          var stripe = Tap('${tap.publishable}', {apiBase: '${tap.url}/', locale: 'fr'});
          var elements = stripe.elements({clientSecret: '${secret}', appearance: {variables: {colorText: 'rgb(9, 8, 7)'}, rules: {'.Label': {fontWeight: '700'}}}});
          elements.create('payment', {fields: {billingDetails: {name: 'always'}}, terms: {card: 'always'}, business: {name: '$& Nordlicht <b>'}}).mount('#payment');
          elements.create('address', {mode: 'shipping', defaultValues: {name: 'Jenny', address: {country: 'IE'}}}).mount('#address');
        </script>`,
        { headers },
      ),
    );
    const frame = page.frameLocator('#payment iframe');
    await fill(page, '#payment', { number: '4000002760003184', name: 'Jenny Rosen' });
    await frame.locator('#country').selectOption('FR');
    await frame.getByText('vous autorisez $& Nordlicht <b> à la débiter').waitFor();
    const label = frame.getByText('Numéro de carte');
    assert.deepEqual(await label.evaluate((each) => [getComputedStyle(each).color, getComputedStyle(each).fontWeight, getComputedStyle(each).direction]), ['rgb(9, 8, 7)', '700', 'rtl']);
    const pay = () => page.evaluate(() => stripe.confirmPayment({ elements, redirect: 'if_required' }));
    assert.equal((await pay()).error.code, 'incomplete_address');
    const address = page.frameLocator('#address iframe');
    for (const [name, text] of Object.entries({ line1: '1 Main St', city: 'Cork', zip: 'T12' })) await address.locator(`#${name}`).fill(text);
    assert.deepEqual(await page.evaluate(() => [elements.getElement('address', { mode: 'shipping' }) === elements.getElement('address'), elements.getElement('address', { mode: 'billing' })]), [true, null]);
    const paid = pay();
    await authenticate(page, 'Complete authentication');
    assert.equal(await tap.outcome((await paid).paymentIntent), 'succeeded');
    assert.equal(await page.evaluate(() => crossOriginIsolated), true);
    const { shipping, latest_charge: charge } = await tap.ask('GET', `/v1/payment_intents/${id}`, { 'expand[]': 'latest_charge' });
    assert.deepEqual([shipping.name, shipping.address.country, shipping.address.city], ['Jenny', 'IE', 'Cork']);
    assert.deepEqual([charge.billing_details.name, charge.billing_details.address.country], ['Jenny Rosen', 'FR']);
  },

  async 'what Tap has not is refused by its name, and nothing that Stripe declares is missing'({ page, modules, shop, tap }) {
    await page.goto(shop.page('<div id="x"></div>'));
    for (const version of ['@stripe/stripe-js', 'stripe-js-of-2025']) {
      const declared = (file, pattern) => [...readFileSync(modules.resolve(`${version}/package.json`).replace('package.json', `dist/stripe-js/${file}.d.ts`), 'utf8').matchAll(pattern)].map(([, name]) => name);
      const methods = new Set(declared('stripe', /^ {2}(\w+)\(/gm));
      const elements = new Set(declared('elements-group', /create\(\s*elementType: '(\w+)'/g));
      assert.ok(methods.size > 60 && elements.size > 10);
      const [missing, taken] = await page.evaluate(([key, methods, elements]) => {
        const stripe = Stripe(key);
        const takes = (type) => { try { return Boolean(stripe.elements({ mode: 'setup' }).create(type, { mode: 'billing' })); } catch (error) { if (error.name !== 'IntegrationError' || !error.message.includes(type)) throw error; return false; } };
        return [methods.filter((name) => typeof stripe[name] !== 'function'), elements.filter(takes).sort()];
      }, [tap.publishable, [...methods], [...elements]]);
      assert.deepEqual([missing, taken], [[], ['address', 'card', 'cardCvc', 'cardExpiry', 'cardNumber', 'payment']], version);
    }
    const said = (code) => page.evaluate(async ([key, code]) => { try { return String(await new Function('stripe', 'key', `return ${code}`)(Stripe(key), key)); } catch (error) { return `${error.name}: ${error.message}`; } }, [tap.publishable, code]);
    for (const [code, expected] of [
      ['stripe.paymentRequest({})', /IntegrationError: Apple Pay and Google Pay .*not supported/],
      ["stripe.elements().create('paymentRequestButton')", /IntegrationError: Apple Pay and Google Pay/],
      ["stripe.elements().create('iban')", /IntegrationError: iban is not supported/],
      ['stripe.confirmSepaDebitPayment()', /IntegrationError: confirmSepaDebitPayment is not supported/],
      ["stripe.elements({customerSessionClientSecret: 'x'})", /IntegrationError: .*customerSessionClientSecret/],
      ["stripe.elements({customerOptions: {customer: 'cus_1', ephemeralKey: 'x'}})", /IntegrationError: .*customerOptions/],
      ["stripe.elements({mode: 'payment', amount: 1, currency: 'usd'}).create('payment', {wallets: {applePay: 'always'}})", /IntegrationError: Apple Pay/],
      ["Stripe('sk_test_123')", /IntegrationError: You should not use your secret key/],
      ["stripe.elements().create('card').mount('#nowhere')", /IntegrationError: The selector/],
      ["stripe.elements().create('card').mount('#')", /IntegrationError: The selector/],
      ["stripe.elements().create('cardCvc').mount(document.querySelector('#x').attachShadow({mode: 'open'}).appendChild(document.createElement('p')))", /IntegrationError: A cardCvc Element can't be in a shadow root/],
      ["(() => { const style = {}; style.base = style; return stripe.elements().create('card', {style}); })()", /IntegrationError: Invalid options of a card Element/],
      ["stripe.confirmPayment({confirmParams: {}})", /IntegrationError: You must provide confirmParams.return_url/],
      ["stripe.confirmPayment({confirmParams: {return_url: 'javascript:alert(1)'}})", /IntegrationError: .*return_url should be the address/],
      ["stripe.confirmSetup({redirect: 'if_required', confirmParams: {return_url: 'https://'}})", /IntegrationError: .*return_url should be the address/],
      ["stripe.confirmCardPayment('pi_1')", /IntegrationError: Invalid value for stripe.confirmCardPayment/],
    ]) {
      assert.match(await said(code), expected, code);
    }
  },
};
