/** A checkout session's page in one of the merchant's: it is Tap's whole, in a frame as high as it wants to be. */

import type { Json } from '../shared/api.ts';
import { languageOf, wordsIn } from '../shared/words.ts';
import { containerOf } from './element.ts';
import { refuse, refuseUnsupported } from './errors.ts';
import { isRun } from './intents.ts';

const SECRET = /^(cs_[A-Za-z0-9]+)_secret_(test|live)_(\d+)_([\w-]+)$/;
const UNSUPPORTED = ['onShippingDetailsChange', 'onLineItemsChange'];

/** What a frame of ours says, which isn't believed of any other window. */
interface Message {
  tap: 'checkout';
  says: 'height' | 'complete';
  pixels?: number;
  leadsTo?: string | null;
}

/** How many there are in the page: one, as with Stripe's script. */
let shown: EmbeddedCheckout | undefined;

export class EmbeddedCheckout {
  private readonly address: string;
  private readonly completed: (() => void) | undefined;
  private readonly title: string;
  private frame: HTMLIFrameElement | undefined;
  private isOver = false;

  constructor(address: string, title: string, completed: (() => void) | undefined) {
    this.address = address;
    this.title = title;
    this.completed = completed;
  }

  mount(target: string | HTMLElement): void {
    if (this.isOver) refuse('This Embedded Checkout has been destroyed. Please make a new one.');
    if (this.frame) refuse('This Embedded Checkout is mounted already.');
    const container = containerOf(target);
    const frame = document.createElement('iframe');
    frame.src = this.address;
    frame.title = this.title;
    frame.name = 'tap-checkout';
    frame.referrerPolicy = 'no-referrer';
    Object.assign(frame.style, { border: '0', width: '100%', display: 'block', minHeight: '300px', colorScheme: 'normal' });
    this.frame = frame;
    addEventListener('message', this.hear);
    container.replaceChildren(frame);
  }

  private readonly hear = ({ source, origin, data }: MessageEvent<Message | null>): void => {
    if (!this.frame || source !== this.frame.contentWindow || origin !== new URL(this.address).origin || data?.tap !== 'checkout') return;
    if (data.says === 'height') this.frame.style.height = `${Number(data.pixels)}px`;
    if (data.says !== 'complete') return;
    this.completed?.();
    if (typeof data.leadsTo === 'string' && !isRun(data.leadsTo)) location.assign(data.leadsTo);
  };

  unmount(): void {
    removeEventListener('message', this.hear);
    this.frame?.remove();
    this.frame = undefined;
  }

  destroy(): void {
    if (!this.isOver) shown = undefined; // there is no other one; and `this` may be a framework's proxy
    this.unmount();
    this.isOver = true;
  }
}

/** `base`: where Tap is. Throws `IntegrationError`. */
export async function embeddedCheckout(base: string, locale: string, options: Json): Promise<EmbeddedCheckout> {
  const { clientSecret, fetchClientSecret, onComplete } = options ?? {};
  for (const name of UNSUPPORTED) if (options?.[name] !== undefined) refuseUnsupported(name);
  if ((clientSecret === undefined) === (fetchClientSecret === undefined)) refuse('Give clientSecret or fetchClientSecret, and not both.');
  if (onComplete !== undefined && typeof onComplete !== 'function') refuse('onComplete must be a function.');
  if (shown) refuse('You cannot have multiple Embedded Checkout objects: destroy the other one before.');
  const [, session, mode, merchant, secret] = SECRET.exec(String(clientSecret ?? (await fetchClientSecret()))) ?? refuse('The client secret is none of an embedded Checkout Session.');
  if (shown) refuse('You cannot have multiple Embedded Checkout objects: destroy the other one before.');
  shown = new EmbeddedCheckout(`${base}/pay/c/${mode}/${merchant}/${session}/${secret}`, wordsIn(languageOf(locale, navigator.languages)).frame, onComplete);
  return shown;
}
