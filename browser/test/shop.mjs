/** A merchant's shop for the tests: its server, which has the secret key, and its pages, on another site than Tap's. */

import { createServer } from 'node:http';

export class Tap {
  constructor(url, publishable, secret) {
    Object.assign(this, { url, publishable, secret });
  }

  /** What the merchant's server asks of Tap. */
  async ask(method, path, params = {}) {
    const form = new URLSearchParams(params).toString();
    const response = await fetch(`${this.url}${path}${method === 'GET' && form ? `?${form}` : ''}`, {
      method,
      headers: { Authorization: `Bearer ${this.secret}`, 'Content-Type': 'application/x-www-form-urlencoded' },
      body: method === 'POST' ? form : undefined,
    });
    const body = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(body)}`);
    return body;
  }

  intent(params = {}) {
    return this.ask('POST', '/v1/payment_intents', { amount: 2000, currency: 'usd', ...params });
  }

  /** What a payment came to: where the machine is busy, it is answered as `processing` before that is known. */
  async outcome({ id }) {
    for (let left = 600; ; left--) {
      const { status } = await this.ask('GET', `/v1/payment_intents/${id}`);
      if (status !== 'processing' || left === 0) return status;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

export async function openShop(tap, scripts = {}) {
  const pages = new Map();
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const script = scripts[pathname];
    const page = pages.get(pathname);
    const [status, type, body] = script ? [200, 'text/javascript', script] : page ? [200, 'text/html', page.body] : pathname === '/back' ? [200, 'text/html', 'Thank you'] : [404, 'text/plain', ''];
    response.writeHead(status, { 'Content-Type': `${type}; charset=utf-8`, ...(page?.headers ?? {}) }).end(body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://localhost:${server.address().port}`; // another site than 127.0.0.1
  let count = 0;
  return {
    url,
    /** Put up a page with Tap's script in it, and return its address. */
    page(body, { headers = {}, script = `${tap.url}/v3/`, head = '' } = {}) {
      const pathname = `/page-${++count}`;
      const html = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">${head}
<script src="${script}"></script></head><body>${body}</body></html>`;
      pages.set(pathname, { body: html, headers });
      return url + pathname;
    },
    close: () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }),
  };
}
