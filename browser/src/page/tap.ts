/** `window.Stripe` and `window.Tap`, which are the same. */

import type { Json } from '../shared/api.ts';
import { IntegrationError } from './errors.ts';
import { Intents } from './intents.ts';
import { TapStripe } from './stripe.ts';

declare const FRAME_VERSION: string;

/** Where this script came from: its API is there, and so are its frames. */
const OWN = (document.currentScript as HTMLScriptElement | null)?.src;

/** The release of Stripe's script whose declared interface this one has. */
const VERSION = 'endive';

function create(key: unknown, options: Json = {}): TapStripe {
  if (typeof key !== 'string' || key === '') throw new IntegrationError('Missing value for Stripe(): apiKey should be a string.');
  if (/^(?:sk|rk)_/.test(key)) throw new IntegrationError('You should not use your secret key in a browser. Please pass a publishable key instead.');
  if (!/^pk_(?:test|live)_[A-Za-z0-9]+$/.test(key)) throw new IntegrationError('Invalid value for Stripe(): a publishable key begins with pk_test_ or pk_live_.');
  if (options?.betas?.length > 0) throw new IntegrationError('Betas are not supported: Tap has what its documentation says, and no more.');
  const base = originOf(options?.apiBase ?? OWN);
  const locale = typeof options?.locale === 'string' ? options.locale : 'auto';
  const access = { key, account: options?.stripeAccount, version: options?.apiVersion };
  return new TapStripe(`${base}/js/frame-${FRAME_VERSION}.html`, new Intents(base, access, locale), locale);
}

function originOf(address: unknown): string {
  try {
    const url = new URL(String(address));
    if (url.protocol === 'https:' || url.protocol === 'http:') return url.origin;
  } catch {
    // said below
  }
  throw new IntegrationError('Give Stripe() the address of your Tap: Stripe(key, {apiBase: "https://pay.example.com"}). It is known only to a script loaded from there.');
}

// By itself, or with `new`: a function that returns an object serves both.
function Stripe(key: unknown, options?: Json): TapStripe {
  return create(key, options);
}
Stripe.version = VERSION;

Object.assign(window, { Stripe, Tap: Stripe });
