/** A group of elements: what `stripe.elements()` returns. */

import { type Json, randomId } from '../shared/api.ts';
import type { ElementType, Kept, Saved, Settings } from '../shared/protocol.ts';
import { type Group, TapElement } from './element.ts';
import { checkPlain, refuse, refuseUnsupported } from './errors.ts';
import { readFonts } from './fonts.ts';
import { checkSecret, isSetup } from './intents.ts';
import { UNSUPPORTED_GROUP_OPTIONS, UNSUPPORTED_OPTIONS } from './unsupported.ts';

const TYPES: readonly string[] = ['card', 'cardNumber', 'cardExpiry', 'cardCvc', 'payment', 'address'] satisfies ElementType[];

/** What a group asks of Tap. */
export interface Asking {
  /** Read an intent by its client secret. */
  retrieve(secret: string, expand: string[]): Promise<Json>;
  /** Read a customer session by its own, or have a card of its customer's taken away. */
  customer(secret: string): Promise<Json>;
  remove(secret: string, paymentMethod: string): Promise<Json>;
}

const OF_CUSTOMER = /^cuss_[A-Za-z0-9]+_secret_[A-Za-z0-9]+$/;

const savedOf = ({ id, card, billing_details: billing }: Json): Saved => ({ id, brand: card.brand, last4: card.last4, month: card.exp_month, year: card.exp_year, billing });

/** There is one element of a type, and one of each mode where it has modes. */
const placeOf = (type: string, options: Json): string => (type === 'address' ? `address (${String(options?.mode)})` : type);

export class Elements implements Group {
  readonly id = randomId();
  readonly frameUrl: string;
  locale: string;
  options: Json;
  submitted = false;
  known: Settings['saved'] | undefined;
  /** Why the intent could not be read: what is filled in would pay for nothing. */
  fault: Json;
  /** `setup_future_usage` of the intent. */
  private usage: Json;
  private readonly updated: (() => void)[] = [];
  private readonly asking: Asking;
  private readonly elements = new Map<string, TapElement>();
  private readonly read: Promise<Settings['fonts']>;
  private found: Promise<Settings['saved']> | undefined;
  private keeping: Promise<Kept | null> | undefined;

  constructor(frameUrl: string, locale: string, options: Json, asking: Asking) {
    this.frameUrl = frameUrl;
    this.options = { ...options };
    this.locale = typeof options?.locale === 'string' ? options.locale : locale;
    this.asking = asking;
    for (const name of UNSUPPORTED_GROUP_OPTIONS) if (options?.[name] !== undefined && options[name] !== null) refuseUnsupported(`elements({${name}})`);
    const session: Json = options?.customerSessionClientSecret;
    if (session !== undefined && !(typeof session === 'string' && OF_CUSTOMER.test(session))) refuse('Invalid value for elements(): customerSessionClientSecret should be the client secret of a customer session.');
    if (options?.clientSecret !== undefined) checkSecret(options.clientSecret, 'elements()');
    if (options?.clientSecret !== undefined && options?.mode !== undefined) refuse('Give elements() either a clientSecret or a mode, not both.');
    if (options?.mode !== undefined && !['payment', 'setup', 'subscription'].includes(options.mode)) refuse(`elements() has no mode ${String(options.mode)}.`);
    if (['payment', 'subscription'].includes(options?.mode)) this.checkAmount(options);
    const types: Json = options?.paymentMethodTypes;
    if (Array.isArray(types) && !types.includes('card')) refuseUnsupported(`elements({paymentMethodTypes: ${JSON.stringify(types)}})`);
    if (options?.appearance?.labels === 'floating') console.warn('appearance.labels: labels are above their fields; floating ones are not supported.');
    if (options?.appearance?.inputs === 'condensed') console.warn('appearance.inputs: fields are apart; condensed ones are not supported.');
    checkPlain(options?.appearance, 'appearance of elements()');
    this.read = readFonts(options?.fonts);
  }

  private checkAmount({ amount, currency }: Json): void {
    if (!Number.isSafeInteger(amount) || amount < 0) refuse('elements() needs an amount in the smallest unit of its currency, as a whole number.');
    if (typeof currency !== 'string' || !/^[a-z]{3}$/.test(currency)) refuse('elements() needs a currency: three letters in lower case.');
  }

  get appearance(): Json {
    return this.options.appearance;
  }

  fonts(): Promise<Settings['fonts']> {
    return this.read;
  }

  /** The card that the intent has already. */
  saved(): Promise<Settings['saved']> {
    this.found ??= this.look().catch(() => null).then((found) => (this.known = found));
    return this.found;
  }

  /** Whether the card may be charged later, as far as the intent and the group say. */
  get keeps(): boolean {
    const { clientSecret, mode, setupFutureUsage, setup_future_usage: usage } = this.options;
    return mode === 'setup' || mode === 'subscription' || (clientSecret !== undefined && isSetup(clientSecret)) || Boolean(setupFutureUsage ?? usage ?? this.usage);
  }

  private async look(): Promise<Settings['saved']> {
    this.fault = undefined;
    if (this.options.clientSecret === undefined) return null;
    const intent = await this.asking.retrieve(this.options.clientSecret, ['payment_method']);
    this.fault = intent?.error;
    this.usage = intent?.setup_future_usage;
    const method: Json = intent?.payment_method;
    if (intent?.status !== 'requires_confirmation' || typeof method?.card !== 'object') return null;
    return savedOf(method);
  }

  /** What the customer session lets its customer see and do. */
  kept(): Promise<Kept | null> {
    this.keeping ??= this.ask().catch(() => null);
    return this.keeping;
  }

  private async ask(): Promise<Kept | null> {
    const secret: unknown = this.options.customerSessionClientSecret;
    if (typeof secret !== 'string') return null;
    const session = await this.asking.customer(secret);
    const features: Json = session?.components?.payment_element?.features;
    if (!features) {
      console.warn('The customer session was not taken:', session?.error?.message ?? 'its payment element is not enabled.');
      return null;
    }
    const is = (name: string): boolean => features[`payment_method_${name}`] === 'enabled';
    return { cards: session.payment_methods.map(savedOf), removes: is('remove'), saves: is('save'), usage: features.payment_method_save_usage };
  }

  /** Take a card away from the customer; returns what went wrong. */
  async remove(id: string): Promise<Json> {
    const answer = await this.asking.remove(String(this.options.customerSessionClientSecret), id);
    this.keeping = undefined;
    return answer?.error;
  }

  create(type: string, options: Json = {}): TapElement {
    if (!TYPES.includes(type)) return refuseUnsupported(type);
    const kind = type as ElementType;
    for (const name of UNSUPPORTED_OPTIONS) if (options?.[name] !== undefined) refuseUnsupported(`${type}: {${name}}`);
    if (kind === 'payment') this.checkPayment(options);
    if (kind === 'address') this.checkAddress(options);
    const place = placeOf(kind, options);
    if (this.elements.has(place)) refuse(`Can only create one Element of type ${place} through elements().`);
    const element = new TapElement(kind, this, options);
    this.elements.set(place, element);
    return element;
  }

  private checkPayment(options: Json): void {
    if (this.options.clientSecret === undefined && this.options.mode === undefined) {
      refuse('In order to create a payment element, you must pass a clientSecret or mode when creating the Elements group.');
    }
    for (const wallet of ['applePay', 'googlePay']) if (options?.wallets?.[wallet] === 'always') refuseUnsupported(wallet);
    const order: Json = options?.paymentMethodOrder;
    if (Array.isArray(order) && order.length > 0 && !order.includes('card')) refuseUnsupported(`paymentMethodOrder: ${JSON.stringify(order)}`);
  }

  private checkAddress(options: Json): void {
    if (!['billing', 'shipping'].includes(options?.mode)) refuse('An address Element needs a mode: billing or shipping.');
    if (['always', 'auto'].includes(options?.fields?.phone)) refuseUnsupported(`address: {fields: {phone: '${options.fields.phone}'}}`);
    if (['split', 'organization'].includes(options?.display?.name)) refuseUnsupported(`address: {display: {name: '${options.display.name}'}}`);
    if (options?.autocomplete?.mode === 'google_maps_api') refuseUnsupported('address: {autocomplete: google_maps_api}');
  }

  /** When `update()` is done, which its promise says as well. */
  on(name: string, handler: () => void): this {
    if (name === 'update-end') this.updated.push(handler);
    return this;
  }

  getElement(type: Json, options?: Json): TapElement | null {
    // React's components are asked for by what they render.
    const name: unknown = typeof type === 'string' ? type : type?.__elementType;
    if (name !== 'address' || options?.mode !== undefined) return this.elements.get(placeOf(String(name), options)) ?? null;
    return this.addressOf('shipping') ?? this.addressOf('billing') ?? null;
  }

  private addressOf(mode: 'billing' | 'shipping'): TapElement | undefined {
    return this.elements.get(placeOf('address', { mode }));
  }

  forget(element: TapElement): void {
    this.elements.delete(placeOf(element.type, element.options));
  }

  async update(options: Json): Promise<void> {
    if (options?.clientSecret !== undefined) refuse('clientSecret is immutable: make a new Elements group.');
    checkPlain(options?.appearance, 'appearance of elements()');
    this.options = { ...this.options, ...options };
    if (['payment', 'subscription'].includes(this.options.mode)) this.checkAmount(this.options);
    if (typeof options?.locale === 'string') this.locale = options.locale;
    this.submitted = false;
    await Promise.all([...this.elements.values()].map((element) => element.resend()));
    for (const handler of this.updated) handler();
  }

  /** Read the intent anew, after the merchant's server changed it. */
  async fetchUpdates(): Promise<{ error?: { message: string; status?: string } }> {
    const { clientSecret } = this.options;
    if (clientSecret === undefined) return {};
    try {
      const intent = await this.asking.retrieve(clientSecret, ['payment_method']);
      this.found = this.keeping = undefined;
      await this.saved();
      await Promise.all([...this.elements.values()].map((element) => element.resend()));
      return intent?.error ? { error: { message: intent.error.message, status: 'failed' } } : {};
    } catch (failure) {
      return { error: { message: String((failure as Error).message), status: 'failed' } };
    }
  }

  /** Check what the buyer filled in, and show what is missing. */
  async submit(): Promise<{ error?: Json; selectedPaymentMethod?: string }> {
    for (const element of [...this.elements.values()].filter((each) => each.isMounted)) {
      const answer: Json = element.type === 'address' ? await element.getValue() : await element.request({ what: 'validate' });
      if (answer.error) return { error: answer.error };
      if (answer.complete === false) return { error: { type: 'validation_error', code: 'incomplete_address', message: 'The address is incomplete.' } };
    }
    this.submitted = true;
    return { selectedPaymentMethod: 'card' };
  }

  /** The element that has the card. */
  get card(): TapElement | undefined {
    return (['payment', 'card', 'cardNumber'] as const).map((type) => this.elements.get(type)).find((each) => each !== undefined);
  }

  /** What an address element adds. */
  async address(mode: 'billing' | 'shipping'): Promise<Json> {
    const element = this.addressOf(mode);
    if (!element?.isMounted) return undefined;
    const { name, ...others } = (await element.getValue()).value;
    return name === '' ? others : { name, ...others }; // none is asked for where the merchant says so
  }
}
