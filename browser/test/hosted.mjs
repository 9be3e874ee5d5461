/** Pages of ours, as they are opened and read: by people who see them, and by axe for those who don't. SHOTS=DIRECTORY keeps a picture of each. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { cardPage } from './card.mjs';

const { SHOTS } = process.env;
const GRAVE = ['serious', 'critical'];
const SECURE = '4000 0025 0000 3155';
const LOOKS = [
  { name: 'desktop-light', viewport: { width: 1280, height: 900 }, colorScheme: 'light' },
  { name: 'phone-dark', viewport: { width: 390, height: 844 }, colorScheme: 'dark' },
  ...(SHOTS ? [
    { name: 'desktop-dark', viewport: { width: 1280, height: 900 }, colorScheme: 'dark' },
    { name: 'phone-light', viewport: { width: 390, height: 844 }, colorScheme: 'light' },
  ] : []),
];
/** A product whose name is markup, as long as names may be. */
const LONG = `<b onclick="alert(1)">${'Merino scarf '.repeat(20)}`.slice(0, 200);

export const line = (at, name, amount, quantity = 1, currency = 'usd') => ({
  [`line_items[${at}][price_data][currency]`]: currency, [`line_items[${at}][price_data][unit_amount]`]: String(amount),
  [`line_items[${at}][price_data][product_data][name]`]: name, [`line_items[${at}][quantity]`]: String(quantity),
});

const BOUGHT = { ...line(0, 'Merino scarf', 4900, 2), ...line(1, 'Wool hat', 2900) };
const session = (tap, shop, bought = BOUGHT) => tap.ask('POST', '/v1/checkout/sessions', { mode: 'payment', success_url: `${shop.url}/back`, cancel_url: `${shop.url}/back`, ...bought });

async function submit(page, { number = '4242 4242 4242 4242' } = {}) {
  for (const [name, text] of Object.entries({ email: 'ada@example.com', number, exp: '12/34', cvc: '123', name: 'Ada Lovelace' })) await page.locator(`#${name}`).fill(text);
  await page.locator('button.primary').click();
}

/** What axe finds in a page, and in each frame in it. */
export async function check(page, axe, name, found) {
  for (const frame of page.frames().filter((each) => !each.isDetached() && each.url() !== 'about:blank')) {
    // What is behind a frame is the page's, which axe doesn't know in there.
    if (frame !== page.mainFrame()) await frame.evaluate((behind) => { document.documentElement.style.background = behind; }, await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
    await frame.evaluate(axe);
    const { violations } = await frame.evaluate(() => globalThis.axe.run(document, { iframes: false, resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
    for (const { id, impact, nodes } of violations) if (GRAVE.includes(impact)) found.push(`${name}: ${id}: ${nodes.map((node) => `${node.html.slice(0, 200)} ${node.failureSummary}`).join(' | ')}`);
  }
  if (SHOTS) await page.screenshot({ path: path.join(SHOTS, `${name}.png`) });
}

export const hosted = {
  async 'nothing grave is wrong with any page for who can’t see it, in either theme'({ browser, modules, shop, tap }) {
    const axe = await readFile(modules.resolve('axe-core/axe.min.js'), 'utf8');
    const found = [];
    const price = await tap.ask('POST', '/v1/prices', { currency: 'usd', unit_amount: '1500', 'product_data[name]': 'Wool hat' });
    const link = await tap.ask('POST', '/v1/payment_links', { 'line_items[0][price]': price.id, 'line_items[0][quantity]': '1' });
    const paid = await tap.intent({ amount: 12700, confirm: 'true', payment_method: 'pm_card_visa', 'automatic_payment_methods[enabled]': 'true', 'automatic_payment_methods[allow_redirects]': 'never', 'expand[]': 'latest_charge' });
    const ended = await session(tap, shop);
    await tap.ask('POST', `/v1/checkout/sessions/${ended.id}/expire`);
    for (const { name, viewport, colorScheme } of LOOKS) {
      const context = await browser.newContext({ viewport, colorScheme, bypassCSP: true, reducedMotion: 'reduce', locale: 'en-US' });
      const page = await context.newPage();
      // What is another page's twin is looked at in one theme.
      const twins = SHOTS || colorScheme === 'light' ? [] : ['checkout', 'link', 'card', 'expired'];
      const look = async (what) => { if (!twins.includes(what)) await check(page, axe, `${what}-${name}`, found); };
      const { url } = await session(tap, shop);
      await page.goto(url);
      await look('checkout');
      await page.locator('button.primary').click();
      await page.locator('.error').first().waitFor();
      await look('checkout-errors');
      await submit(page, { number: SECURE });
      await page.getByRole('button', { name: 'Complete authentication' }).waitFor();
      await look('challenge');
      if (!twins.includes('link')) await page.goto(link.url);
      await look('link');
      await page.goto(paid.latest_charge.receipt_url);
      await look('receipt');
      if (!twins.includes('expired')) await page.goto(ended.url);
      await look('expired');
      await page.goto(tap.url);
      await look('welcome');
      const dark = colorScheme === 'dark';
      const back = `<style>body{margin:0;font:16px system-ui;background:${dark ? '#14161c' : '#fff'};color:${dark ? '#f1f3f7' : '#1a1f36'}}main{max-width:27rem;margin:2rem auto;padding:0 1.25rem}#card{padding:12px;border:1px solid #8a93a2;border-radius:8px;margin:.25rem 0 1rem}button{font:inherit;font-weight:600;width:100%;padding:.75rem;border:0;border-radius:8px;background:#1f4fd8;color:#fff}</style>`;
      await page.goto(shop.page(`<main><h1>Pay</h1>${cardPage(tap, dark ? "{style: {base: {color: '#f1f3f7', '::placeholder': {color: '#a9b1bf'}}}}" : '{}')}</main>`, { head: `<title>Shop</title>${back}` }));
      await page.frameLocator('#card iframe').locator('#number').waitFor();
      await look('card');
      await page.goto(shop.page(`<main><h1>Pay</h1><div id="payment"></div><button>Pay</button></main><script>
        Stripe('${tap.publishable}').elements({mode: 'payment', amount: 2000, currency: 'usd', appearance: {theme: '${dark ? 'night' : 'stripe'}'}}).create('payment', {fields: {billingDetails: {name: 'always'}}}).mount('#payment')
      </script>`, { head: `<title>Shop</title>${back}` }));
      await page.frameLocator('#payment iframe').locator('#number').fill('4242424242424241');
      await page.frameLocator('#payment iframe').locator('#cvc').focus();
      await look('payment-element');
      await context.close();
    }
    assert.deepEqual(found, []);
  },

  async 'a session is paid once, however often a buyer presses, goes back, reloads and looks elsewhere'({ page, context, shop, tap }) {
    const { url, id } = await session(tap, shop, line(0, LONG, 99_999_999, 1, 'usd'));
    const other = await context.newPage();
    await Promise.all([page.goto(url), other.goto(url)]);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, 'nothing is wider than the page');
    assert.equal(await page.getByText('<b onclick').count() > 0, true);
    await submit(page, { number: '4000 0000 0000 9995' });
    await page.getByText('insufficient funds').waitFor();
    for (const [name, text] of Object.entries({ number: '4242424242424242', exp: '12/34', cvc: '123' })) await page.locator(`#${name}`).fill(text);
    await page.locator('button.primary').dblclick();
    await page.waitForURL(`${shop.url}/back`);
    await page.goBack();
    await page.waitForURL(`${shop.url}/back`); // a page that was paid leads on again
    await page.reload();
    await submit(other);
    await other.waitForURL(`${shop.url}/back`);
    const { payment_intent: intent } = await tap.ask('GET', `/v1/checkout/sessions/${id}`);
    const { data } = await tap.ask('GET', '/v1/charges', { payment_intent: intent });
    assert.deepEqual(data.map(({ status }) => status), ['succeeded', 'failed']);
  },

  async 'who is offline is told so, loses nothing that was typed, and pays when they are back'({ page, context, shop, tap }) {
    const { url, id } = await session(tap, shop);
    await page.goto(url);
    await context.setOffline(true);
    await submit(page);
    await page.getByText('You are offline, and nothing was sent.').waitFor();
    assert.equal(await page.locator('#cvc').inputValue(), '123');
    await context.setOffline(false);
    await page.getByText('You are offline').waitFor({ state: 'hidden' });
    await page.locator('button.primary').click();
    await page.waitForURL(`${shop.url}/back`);
    assert.equal((await tap.ask('GET', `/v1/checkout/sessions/${id}`)).payment_status, 'paid');
  },

  async 'a session is paid in the merchant’s own page, which leads on'({ page, shop, tap }) {
    const made = await tap.ask('POST', '/v1/checkout/sessions', { mode: 'payment', ui_mode: 'embedded_page', return_url: `${shop.url}/back?session={CHECKOUT_SESSION_ID}`, ...line(0, 'Scarf', 4900) });
    assert.equal(made.url, null);
    await page.goto(shop.page(`<div id="checkout"></div><script>
      const forged = (source) => source.postMessage({ tap: 'checkout', says: 'complete', leadsTo: '/forged' }, '*');
      Stripe('${tap.publishable}').createEmbeddedCheckoutPage({ fetchClientSecret: async () => '${made.client_secret}', onComplete: () => { window.name = 'completed'; } })
        .then((checkout) => { checkout.mount('#checkout'); forged(window); })
    </script>`));
    const frame = page.frameLocator('iframe[name=tap-checkout]');
    for (const [name, text] of Object.entries({ email: 'ada@example.com', number: SECURE, exp: '12/34', cvc: '123', name: 'Ada' })) await frame.locator(`#${name}`).fill(text);
    assert.ok((await page.locator('iframe').boundingBox()).height > 400, 'as high as the page in it');
    await frame.locator('button.primary').click();
    await frame.getByRole('button', { name: 'Complete authentication' }).click();
    await page.waitForURL(`${shop.url}/back?session=${made.id}`);
    assert.equal(await page.evaluate(() => window.name), 'completed');
    assert.equal((await tap.ask('GET', `/v1/checkout/sessions/${made.id}`)).payment_status, 'paid');
  },

  async 'a session that ends while a buyer types says so and takes nothing, and no page of ours is shown in another’s'({ page, shop, tap }) {
    const { url, id } = await session(tap, shop);
    await page.goto(url);
    await tap.ask('POST', `/v1/checkout/sessions/${id}/expire`);
    await submit(page);
    await page.getByRole('heading', { name: 'This page has expired' }).waitFor();
    assert.equal((await tap.ask('GET', `/v1/checkout/sessions/${id}`)).payment_intent, null);
    const refused = page.waitForEvent('console', (message) => message.text().includes('frame-ancestors'));
    await page.goto(shop.page(`<iframe src="${(await session(tap, shop)).url}"></iframe>`));
    await refused;
    assert.equal(await page.frames().at(-1).locator('form').count(), 0);
  },
};
