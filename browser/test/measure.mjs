/**
 * How much a buyer's browser loads, and how soon a card can be typed: from the navigation until its fields are there. Prints a line of JSON for
 * each kind of page. Environment as for run.mjs; argument: how often.
 */

import { createRequire } from 'node:module';
import path from 'node:path';
import { line } from './hosted.mjs';
import { Tap, openShop } from './shop.mjs';

const { TAP_URL, TAP_PUBLISHABLE_KEY, TAP_SECRET_KEY, CHROMIUM, MODULES } = process.env;
const { chromium } = createRequire(path.join(MODULES, 'x.js'))('playwright-core');
const times = Number(process.argv[2] ?? 15);
const tap = new Tap(TAP_URL, TAP_PUBLISHABLE_KEY, TAP_SECRET_KEY);
const shop = await openShop(tap);
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage'] });

/** By the window's own clock, so that it isn't counted what it takes to ask. */
const READY = 'window.ready === undefined ? new Promise((resolve) => { window.told = resolve; }) : window.ready';
const TELLS = '.on("ready", () => { window.ready = performance.now(); window.told?.(window.ready); })';
const PARSED = 'performance.getEntriesByType("navigation")[0].domInteractive';

async function open(context, url, when) {
  const page = await context.newPage();
  const sizes = [];
  page.on('requestfinished', (request) => sizes.push(request.sizes()));
  await page.goto(url);
  const milliseconds = await page.evaluate(when);
  const bytes = (await Promise.all(sizes)).reduce((sum, { responseBodySize, responseHeadersSize }) => sum + responseBodySize + responseHeadersSize, 0);
  await page.close();
  return { milliseconds, bytes };
}

const middle = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

const session = await tap.ask('POST', '/v1/checkout/sessions', { mode: 'payment', success_url: `${shop.url}/back`, ...line(0, 'Merino scarf', 4900, 2) });
const secret = (await tap.intent()).client_secret;
const withElement = (type, options) => shop.page(`<div id="element"></div><script>Stripe('${tap.publishable}').elements(${options}).create('${type}')${TELLS}.mount('#element')</script>`);
const pages = {
  'hosted page': [session.url, PARSED],
  'card element': [withElement('card', ''), READY],
  'payment element': [withElement('payment', `{clientSecret: '${secret}'}`), READY],
};
for (const [page, [url, when]] of Object.entries(pages)) {
  const first = [];
  const again = [];
  let size = 0;
  for (let at = 0; at < times; at++) {
    const context = await browser.newContext(); // with nothing in its cache
    const { milliseconds, bytes } = await open(context, url, when);
    first.push(milliseconds);
    size = Math.max(size, bytes);
    again.push((await open(context, url, when)).milliseconds);
    await context.close();
  }
  console.log(JSON.stringify({ page, first: Math.round(middle(first)), again: Math.round(middle(again)), bytes: size }));
}
await browser.close();
await shop.close();
