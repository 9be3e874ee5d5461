/** What a buyer does in Tap's frames. */

export async function fill(page, selector, { number = '4242424242424242', expiry = '12 / 34', cvc = '123', ...others } = {}) {
  const frame = page.frameLocator(`${selector} iframe`);
  for (const [name, text] of Object.entries({ number, expiry, cvc, ...others })) await frame.locator(`#${name}`).fill(text);
}

export async function authenticate(page, button) {
  await page.frameLocator('iframe[name=tap-challenge]').getByRole('button', { name: button }).click();
}
