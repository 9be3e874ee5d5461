/** One element: an iframe of Tap's in the merchant's container, and the port to it. */

import type { Json } from '../shared/api.ts';
import type { ElementType, Opening, Request, Settings, ToFrame, ToPage } from '../shared/protocol.ts';
import { languageOf, wordsIn } from '../shared/words.ts';
import { IntegrationError, checkPlain, refuse } from './errors.ts';

type Handler = (event: Json) => void;

const LOAD_PATIENCE = 20_000;
/** Those that there is no occasion for, as with one network to a card, are heard and never told. */
export const EVENTS = ['ready', 'change', 'focus', 'blur', 'escape', 'loaderror', 'loaderstart', 'networkschange', 'click', 'availablepaymentmethodschange', 'carddetailschange', 'savedpaymentmethodremove', 'savedpaymentmethodupdate'];
const CLASSES = { base: 'StripeElement', complete: 'StripeElement--complete', empty: 'StripeElement--empty', focus: 'StripeElement--focus', invalid: 'StripeElement--invalid' };

const SPLIT: readonly ElementType[] = ['cardNumber', 'cardExpiry', 'cardCvc'];

/** What a merchant names to show an Element in. Throws `IntegrationError` where there is no such thing. */
export function containerOf(target: unknown): HTMLElement {
  let container: unknown = target;
  try {
    if (typeof target === 'string') container = document.querySelector(target);
  } catch {
    container = null; // no selector at all
  }
  if (container instanceof HTMLElement) return container;
  throw new IntegrationError(`The selector you specified (${String(target)}) applies to no DOM elements that are currently on the page. Make sure the element exists on the page before calling mount().`);
}

/** The labels beside a container, in its document or shadow root. */
function labelsOf(container: HTMLElement | undefined): Iterable<Element> {
  const root = container?.getRootNode();
  if (!container?.id || !(root instanceof Document || root instanceof ShadowRoot)) return [];
  return root.querySelectorAll(`label[for="${CSS.escape(container.id)}"]`);
}

/** What can be posted: a framework may have put proxies around all that it keeps. */
const plain = <Value>(value: Value): Value => JSON.parse(JSON.stringify(value)) as Value;

/** What elements of one group have in common. */
export interface Group {
  readonly id: string;
  readonly frameUrl: string;
  readonly locale: string;
  readonly appearance: Json;
  fonts(): Promise<Settings['fonts']>;
  saved(): Promise<Settings['saved']>;
  /** What `saved()` came to, once it has. */
  readonly known: Settings['saved'] | undefined;
  readonly fault: Json;
  readonly keeps: boolean;
  kept(): Promise<Settings['kept']>;
  remove(id: string): Promise<Json>;
  forget(element: TapElement): void;
}

export class TapElement {
  readonly type: ElementType;
  readonly group: Group;
  options: Json;
  private readonly handlers = new Map<string, Set<Handler>>();
  private frame: HTMLIFrameElement | undefined;
  private container: HTMLElement | undefined;
  private port: MessagePort | undefined;
  private ready: Promise<void> = Promise.resolve();
  /** Tells that it is; none: it was, or won't be. */
  private opened: (() => void) | undefined;
  private readonly waiting = new Map<number, (answer: Json) => void>();
  private asked = 0;
  private destroyed = false;
  private state = { empty: true, complete: false, invalid: false, focus: false };

  constructor(type: ElementType, group: Group, options: Json) {
    checkPlain(options, `options of a ${type} Element`);
    this.type = type;
    this.group = group;
    this.options = { ...options };
  }

  mount(target: string | HTMLElement): void {
    if (this.destroyed) refuse('This Element has already been destroyed. Please create a new one.');
    const container = containerOf(target);
    if (SPLIT.includes(this.type) && container.getRootNode() instanceof ShadowRoot) {
      refuse(`A ${this.type} Element can't be in a shadow root, where the fields of a card don't find each other: mount a card or payment Element there.`);
    }
    if (this.container === container && this.frame?.isConnected) return;
    this.unmount();
    this.container = container;
    const frame = document.createElement('iframe');
    frame.src = this.group.frameUrl;
    frame.title = wordsIn(languageOf(this.group.locale, navigator.languages)).frame;
    frame.name = `tap-${this.type}-${this.group.id.slice(0, 8)}`;
    frame.setAttribute('allow', '');
    frame.setAttribute('scrolling', 'no');
    frame.referrerPolicy = 'no-referrer';
    const margin = this.isForm ? { margin: '-4px', width: 'calc(100% + 8px)' } : { margin: '0', width: '100%' };
    // `color-scheme`: a frame whose scheme isn't its page's is painted opaque.
    Object.assign(frame.style, { border: '0', padding: '0', display: 'block', overflow: 'hidden', colorScheme: 'normal', minHeight: '0', maxWidth: 'none', height: this.isForm ? '240px' : '1.2em', ...margin });
    this.frame = frame;
    this.expect(frame);
    frame.addEventListener('load', () => void this.open(frame));
    container.replaceChildren(frame);
    if (this.type === 'payment') void Promise.all([this.group.saved(), this.group.kept()]); // asked once, and while the frame loads
    this.classes();
    for (const label of labelsOf(container)) label.addEventListener('click', this.labelled);
    if (this.isForm) this.emit('loaderstart', {});
  }

  /** What is asked of a frame waits until it says that it is there. */
  private expect(frame: HTMLIFrameElement): void {
    if (this.opened) return; // it does already
    const ready = new Promise<void>((resolve, reject) => {
      const opened = (): void => { clearTimeout(patience); resolve(); };
      const patience = setTimeout(() => { if (this.opened === opened) this.opened = undefined; reject(new Error('no answer')); }, LOAD_PATIENCE);
      this.opened = opened;
    });
    this.ready = ready;
    ready.catch(() => {
      if (this.ready === ready && this.frame === frame && frame.isConnected) this.emit('loaderror', { error: this.unreachable });
    });
  }

  /** It is loaded anew when it is moved in the document, and empty then. */
  private moved(frame: HTMLIFrameElement): void {
    this.leave('The Element was moved in the page, and is empty again.');
    this.expect(frame);
  }

  private get unreachable(): Json {
    return { type: 'api_connection_error', message: `The Element could not be loaded from ${new URL(this.group.frameUrl).origin}.` };
  }

  private readonly labelled = (): void => this.focus();

  private get isForm(): boolean {
    return this.type === 'payment' || this.type === 'address';
  }

  /** Give a frame that was loaded what it shows. */
  private async open(frame: HTMLIFrameElement): Promise<void> {
    if (this.frame !== frame) return;
    if (this.opened === undefined || this.port) this.moved(frame);
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    const isRead = this.group.known !== undefined;
    const settings = await this.settings();
    if (this.port !== port1 || frame.contentWindow === null) return;
    port1.onmessage = ({ data }: MessageEvent<ToPage>) => {
      if (data.says === 'ready') { this.opened?.(); this.opened = undefined; }
      this.hear(data);
    };
    // Browsers that know of it tell at once that the frame is gone, and others when it is there again.
    port1.addEventListener('close', () => { if (this.port === port1) this.moved(frame); });
    const opening: Opening = { tap: 'open', type: this.type, group: this.group.id, settings };
    frame.contentWindow.postMessage(opening, new URL(frame.src).origin, [port2]);
    if (this.type !== 'payment') return;
    await Promise.all([this.group.saved(), this.ready.catch(() => undefined)]);
    if (this.port !== port1) return;
    if (this.group.fault) this.emit('loaderror', { error: this.group.fault });
    if (!isRead) await this.resend();
  }

  /** Nobody waits for an answer of a frame that isn't there any more. */
  private leave(message: string): void {
    this.port?.close();
    this.port = undefined;
    for (const answer of this.waiting.values()) answer({ error: { type: 'invalid_request_error', message }, isGone: true });
    this.waiting.clear();
  }

  /** A customer's cards are what the frame begins with; what its intent says is told when it is known, and nobody has to wait for it to type. */
  private async settings(): Promise<Settings> {
    const isPayment = this.type === 'payment';
    const [fonts, kept] = await Promise.all([this.group.fonts(), isPayment ? this.group.kept() : null]);
    const saved = isPayment ? (this.group.known ?? null) : null;
    const direction = this.container && getComputedStyle(this.container).direction === 'rtl' ? 'rtl' : 'ltr';
    const charges = isPayment && this.tellsTerms ? String(this.options.business?.name ?? location.hostname) : null;
    const told = plain({ options: this.options, appearance: this.group.appearance ?? {}, locale: this.group.locale, saved, kept });
    return { ...told, direction, charges, fonts: fonts.map(({ source, ...font }) => ({ ...plain(font), source })) };
  }

  /** Whether the buyer is told that the card is kept: where it is, unless the merchant's page says that itself. */
  private get tellsTerms(): boolean {
    const said: unknown = this.options.terms?.card ?? 'auto';
    return said === 'always' || (said === 'auto' && this.group.keeps);
  }

  private hear(message: ToPage): void {
    switch (message.says) {
      case 'height':
        if (this.frame) this.frame.style.height = `${Number(message.pixels)}px`;
        break;
      case 'answer':
        this.waiting.get(message.number)?.(message.answer);
        this.waiting.delete(message.number);
        break;
      case 'change':
        this.state = { ...this.state, empty: message.change.empty, complete: message.change.complete, invalid: message.change.error !== undefined };
        this.classes();
        this.emit('change', { ...message.change });
        break;
      case 'remove':
        void this.removed(message.id);
        break;
      case 'enter':
        this.submit();
        break;
      default:
        if (message.says === 'focus' || message.says === 'blur') this.state = { ...this.state, focus: message.says === 'focus' };
        this.classes();
        this.emit(message.says, {});
    }
  }

  /** As a browser does where Enter is pressed in a form: by its button, and not at all while that is disabled. */
  private submit(): void {
    const form = this.container?.closest('form');
    const button = [...(form?.elements ?? [])].find((each) => (each as HTMLButtonElement).type === 'submit') as HTMLElement | undefined;
    if (button) button.click();
    else form?.requestSubmit();
  }

  private async removed(id: string): Promise<void> {
    const card = (await this.group.kept())?.cards.find((each) => each.id === id);
    const removed = { id, type: 'card', billing_details: card?.billing };
    const error = await this.group.remove(id);
    this.emit('savedpaymentmethodremove', { success: error === undefined, ...(error ? { error: error.message } : {}), payment_method: removed });
    await this.resend();
  }

  private classes(): void {
    const names: Record<string, string> = { ...CLASSES, ...(this.options.classes ?? {}) };
    const put = (name: string | undefined, on: boolean): void => {
      for (const each of name?.split(/\s+/).filter(Boolean) ?? []) this.container?.classList.toggle(each, on);
    };
    put(names['base'], this.frame !== undefined);
    for (const [state, on] of Object.entries(this.state)) put(names[state], this.frame !== undefined && on);
  }

  private emit(name: string, event: Json): void {
    const handlers = [...(this.handlers.get(name) ?? [])];
    if (name === 'loaderror' && handlers.length === 0) console.error(`Unhandled loaderror of a ${this.type} Element:`, event['error']?.message);
    for (const handler of handlers) handler({ elementType: this.type, ...event });
  }

  on(name: string, handler: Handler): this {
    if (typeof handler !== 'function') refuse(`A handler of '${name}' must be a function.`);
    if (EVENTS.includes(name)) this.handlers.set(name, (this.handlers.get(name) ?? new Set()).add(handler));
    return this;
  }

  once(name: string, handler: Handler): this {
    const single: Handler = (event) => {
      this.off(name, single);
      handler(event);
    };
    return this.on(name, single);
  }

  off(name: string, handler?: Handler): this {
    if (handler) this.handlers.get(name)?.delete(handler);
    else this.handlers.delete(name);
    return this;
  }

  addEventListener(name: string, handler: Handler): this {
    return this.on(name, handler);
  }

  removeEventListener(name: string, handler: Handler): this {
    return this.off(name, handler);
  }

  update(options: Json): this {
    checkPlain(options, `options of a ${this.type} Element`);
    this.options = { ...this.options, ...options };
    void this.resend();
    return this;
  }

  /** Tell the frame what the group or the merchant says anew. */
  async resend(): Promise<void> {
    if (this.frame === undefined) return;
    this.tell({ does: 'settings', settings: await this.settings() });
  }

  private tell(message: ToFrame): void {
    void this.ready.then(() => this.port?.postMessage(message), () => undefined);
  }

  focus(): void {
    this.frame?.focus();
    this.tell({ does: 'focus' });
  }

  blur(): void {
    this.tell({ does: 'blur' });
    this.frame?.blur();
  }

  clear(): void {
    this.tell({ does: 'clear' });
  }

  collapse(): this {
    return this;
  }

  async getValue(): Promise<Json> {
    return this.request({ what: 'value' });
  }

  /** Ask the frame for something; what was typed isn't in the answer. Throws `IntegrationError` where it isn't mounted. */
  async request(request: Request): Promise<Json> {
    if (!this.frame?.isConnected) {
      refuse('We could not retrieve data from the specified Element. Please make sure the Element you are attempting to use is still mounted.');
    }
    try {
      await this.ready;
    } catch {
      return { error: this.unreachable };
    }
    if (this.port === undefined) return { error: { type: 'invalid_request_error', message: 'The Element was unmounted.' } };
    const number = ++this.asked;
    return new Promise((resolve) => {
      this.waiting.set(number, resolve);
      this.port?.postMessage({ does: 'request', number, request: plain(request) } satisfies ToFrame);
    });
  }

  unmount(): this {
    const { container } = this;
    for (const label of labelsOf(container)) label.removeEventListener('click', this.labelled);
    this.frame?.remove();
    this.frame = undefined;
    this.leave('The Element was unmounted.');
    this.opened?.();
    this.opened = undefined;
    this.classes();
    this.state = { empty: true, complete: false, invalid: false, focus: false };
    this.container = undefined;
    return this;
  }

  destroy(): this {
    if (this.destroyed) return this;
    this.unmount();
    this.destroyed = true;
    this.group.forget(this);
    return this;
  }

  get isMounted(): boolean {
    return this.frame?.isConnected === true;
  }
}
