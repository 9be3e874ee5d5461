/**
 * Runs all scenarios in one browser, and prints a line of JSON for each: its name, and what was wrong. Environment: TAP_URL, TAP_PUBLISHABLE_KEY,
 * TAP_SECRET_KEY, CHROMIUM, MODULES; arguments: names of scenarios, where not all shall run.
 */

import { createRequire } from 'node:module';
import path from 'node:path';
import { card } from './card.mjs';
import { docs } from './docs.mjs';
import { elements } from './elements.mjs';
import { hostile } from './hostile.mjs';
import { hosted } from './hosted.mjs';
import { Tap, openShop } from './shop.mjs';

const { TAP_URL, TAP_PUBLISHABLE_KEY, TAP_SECRET_KEY, CHROMIUM, MODULES } = process.env;
const modules = createRequire(path.join(MODULES, 'x.js'));
const { chromium } = modules('playwright-core');

/** A shop in React, with Stripe's libraries or with those that others name instead. */
async function reactShop(alias = {}) {
  const built = await modules('esbuild').build({
    absWorkingDir: import.meta.dirname, entryPoints: ['react_shop.jsx'], bundle: true, write: false, format: 'iife', nodePaths: [MODULES], alias,
    define: { 'process.env.NODE_ENV': '"production"' }, jsx: 'automatic',
  });
  return built.outputFiles[0].text;
}

const tap = new Tap(TAP_URL, TAP_PUBLISHABLE_KEY, TAP_SECRET_KEY);
const shop = await openShop(tap, {
  '/react.js': await reactShop(),
  '/react-2025.js': await reactShop({ '@stripe/stripe-js': 'stripe-js-of-2025', '@stripe/react-stripe-js': 'react-stripe-js-of-2025' }),
});
// No cookies in frames, as browsers will have it, and some have.
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage', '--test-third-party-cookie-phaseout'] });
const wanted = process.argv.slice(2);

async function run(context, name, scenario) {
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  const faults = [];
  page.on('pageerror', (fault) => faults.push(String(fault)));
  page.on('console', (message) => {
    if (/^Framing /.test(message.text())) return; // ours, in another's page: a scenario waits for that
    if (/Content Security Policy|Permissions-Policy|TrustedHTML/.test(message.text())) faults.push(message.text());
  });
  let fault = null;
  const began = Date.now();
  try {
    await scenario({ page, context, browser, modules, shop, tap });
    if (faults.length > 0) throw new Error(`the page complains: ${faults.join('; ')}`);
  } catch (failure) {
    fault = `${failure.stack}\n${faults.join('\n')}`;
  }
  console.log(JSON.stringify({ name, fault, milliseconds: Date.now() - began }));
  await Promise.all(context.pages().slice(1).map((each) => each.close()));
  await context.unrouteAll();
  await context.clearCookies();
}

const left = Object.entries({ ...card, ...docs, ...elements, ...hostile, ...hosted }).filter(([name]) => wanted.length === 0 || wanted.includes(name));
// A few at a time: each waits for its payments longer than it works. Each time one window, which stays, since a browser is long about opening one.
await Promise.all(
  [1, 2, 3].map(async () => {
    const context = await browser.newContext();
    await context.newPage();
    for (let next = left.shift(); next; next = left.shift()) await run(context, ...next);
  }),
);
await browser.close();
await shop.close();
