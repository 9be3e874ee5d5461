/** The page on the API: it is read and tried with nothing but what Tap serves, at a telephone's width too. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { check } from './hosted.mjs';

async function authorized(page, tap) {
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.goto(`${tap.url}/docs`);
  await page.click('.authorize');
  await page.fill('#auth-basic-username', tap.secret);
  await page.click('.auth-btn-wrapper .authorize >> nth=0');
  await page.click('.close-modal');
  return asked;
}

const shown = async (page, tag, id) => {
  await page.click(`#operations-tag-${tag}`);
  const operation = page.locator(`#operations-${tag}-${id}`);
  await operation.locator('.opblock-summary-control').click();
  await operation.locator('.try-out__btn').click();
  return operation;
};

export const docs = {
  async 'an operation is tried with a form, of which only what is filled in is sent, by who can’t see it, too'({ page, modules, tap }) {
    const asked = await authorized(page, tap);
    const operation = await shown(page, 'Customers', 'post_customers');
    const field = (name) => operation.locator(`tr[data-property-name="${name}"] :is(input, textarea)`).first();
    await field('shipping[name]').fill('Ada');
    await field('shipping[address][city]').fill('Graz');
    await field('metadata').fill('{"order": "1", "note": "{}"}');
    const [sent] = await Promise.all([page.waitForRequest((request) => request.method() === 'POST'), operation.locator('.execute').click()]);
    const form = Object.fromEntries(new URLSearchParams(sent.postData()));
    assert.deepEqual(form, { 'shipping[name]': 'Ada', 'shipping[address][city]': 'Graz', 'metadata[order]': '1', 'metadata[note]': '{}' });
    const answer = await (await sent.response()).json();
    assert.equal(answer.shipping?.address.city, 'Graz', JSON.stringify(answer));
    await operation.locator('.live-responses-table').waitFor();
    await page.setViewportSize({ width: 390, height: 844 });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    const found = [];
    const axe = await readFile(modules.resolve('axe-core/axe.min.js'), 'utf8');
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await check(page, axe, `docs-${colorScheme}`, found);
    }
    assert.deepEqual(found, []);
    assert.deepEqual(asked.filter((url) => !url.startsWith(`${tap.url}/`) && !url.startsWith('data:')), []);
  },
};
