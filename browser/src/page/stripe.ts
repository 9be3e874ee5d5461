/** What `Stripe(key)` returns: the interface of Stripe's own script, as far as cards go. */

import { type Answer, type Json, encodeForm, idOfSecret } from '../shared/api.ts';
import type { Request } from '../shared/protocol.ts';
import { TapElement } from './element.ts';
import { type EmbeddedCheckout, embeddedCheckout } from './embedded_checkout.ts';
import { Elements } from './elements.ts';
import { IntegrationError, refuse, refuseUnsupported } from './errors.ts';
import { UNSUPPORTED } from './unsupported.ts';
import { Intents, checkReturn, checkSecret, isSetup, nameOf, resultOf, returnTo } from './intents.ts';

interface Given {
  secret: string;
  params: Json;
  /** What has the card; none where a payment method is named. */
  element?: TapElement | undefined;
  /** What is sent of the card beside it. */
  data?: Json;
}

export class TapStripe {
  private readonly intents: Intents;
  private readonly frameUrl: string;
  private readonly locale: string;

  constructor(frameUrl: string, intents: Intents, locale: string) {
    this.frameUrl = frameUrl;
    this.intents = intents;
    this.locale = locale;
    for (const name of UNSUPPORTED) Object.defineProperty(this, name, { value: () => refuseUnsupported(name) });
  }

  elements(options: Json = {}): Elements {
    const answered = async (call: Promise<Answer | { error: Json }>): Promise<Json> => {
      const { session, error } = resultOf(await call, 'session');
      return session ?? { error };
    };
    const path = (secret: string): string => `/v1/customer_sessions/${idOfSecret(secret)}`;
    return new Elements(this.frameUrl, this.locale, options, {
      retrieve: async (secret, expand) => {
        const result = await this.intents.retrieve(secret, expand);
        return result[nameOf(secret)] ?? { error: result.error };
      },
      customer: (secret) => answered(this.intents.call('GET', path(secret), { client_secret: secret })),
      remove: (secret, id) => answered(this.intents.call('POST', `${path(secret)}/detach`, { client_secret: secret, payment_method: id })),
    });
  }

  // Payment and setup intents, each with the card of an element or one on file

  confirmCardPayment(secret: string, data?: Json, options?: { handleActions?: boolean }): Promise<Json> {
    checkSecret(secret, 'stripe.confirmCardPayment', 'payment');
    return this.confirmCard(secret, data, options);
  }

  confirmCardSetup(secret: string, data?: Json, options?: { handleActions?: boolean }): Promise<Json> {
    checkSecret(secret, 'stripe.confirmCardSetup', 'setup');
    return this.confirmCard(secret, data, options);
  }

  private async confirmCard(secret: string, data: Json, options: { handleActions?: boolean } | undefined): Promise<Json> {
    const { payment_method: method, return_url: back, ...others } = data ?? {};
    if (others.payment_method_options?.card?.cvc !== undefined) refuseUnsupported('payment_method_options.card.cvc');
    const acts = options?.handleActions !== false;
    // Where we lead the buyer through 3-D Secure ourselves, they stay on this page.
    const params: Json = acts ? others : { ...others, return_url: back };
    const given: Given = { secret, params };
    if (typeof method === 'string') params.payment_method = method;
    else if (method !== undefined && method !== null) Object.assign(given, cardOf(method, params));
    const result = await this.confirm(given);
    return acts ? this.intents.act(secret, result) : result;
  }

  confirmPayment(options: Json): Promise<Json> {
    return this.confirmElements(options, 'stripe.confirmPayment', 'payment');
  }

  confirmSetup(options: Json): Promise<Json> {
    return this.confirmElements(options, 'stripe.confirmSetup', 'setup');
  }

  private async confirmElements(options: Json, name: string, kind: 'payment' | 'setup'): Promise<Json> {
    const { elements, confirmParams = {}, redirect = 'always' } = options ?? {};
    const { return_url: back, payment_method_data: data, ...params } = confirmParams;
    const token: Json = options?.confirmationToken ?? options?.confirmationTokenId ?? params.confirmation_token;
    if (token !== undefined) params.confirmation_token = checkToken(token, name);
    if (!['always', 'if_required'].includes(redirect)) refuse(`${name}() has no redirect ${String(redirect)}.`);
    if (back !== undefined) checkReturn(back, name);
    else if (redirect === 'always') refuse(`You must provide confirmParams.return_url to ${name}(), or redirect: 'if_required'.`);
    const secret: unknown = options?.clientSecret ?? elements?.options?.clientSecret;
    checkSecret(secret, name, kind);
    const given: Given = { secret, params: { ...params } };
    if (elements !== undefined && params.payment_method === undefined && token === undefined) {
      const invalid = await this.ofElements(elements, given, data, name);
      if (invalid) return { error: invalid };
    }
    const result = await this.intents.act(secret, await this.confirm(given));
    if (result.error || redirect !== 'always') return result;
    return returnTo(back, secret, result[nameOf(secret)].status);
  }

  /** Take the card from a group of elements; returns what is missing in it. */
  private async ofElements(elements: Json, given: Given, data: Json, name: string): Promise<Json> {
    if (!(elements instanceof Elements)) refuse(`${name}() needs the elements of stripe.elements().`);
    const group = elements as Elements;
    const element = group.card;
    if (!element) return refuse(`${name}() needs an Element that has a card in it.`);
    if (group.options.mode !== undefined && !group.submitted) {
      refuse(`elements.submit() must be called before ${name}(), as soon as your customer presses pay, and before any asynchronous work.`);
    }
    const { error } = await group.submit();
    if (error) return error;
    const [billing, shipping] = await Promise.all([group.address('billing'), group.address('shipping')]);
    if (shipping !== undefined && given.params.shipping === undefined && !isSetup(given.secret)) given.params.shipping = shipping;
    const usage: Json = group.options.setupFutureUsage ?? group.options.setup_future_usage;
    if (usage && !isSetup(given.secret)) given.params.setup_future_usage ??= usage;
    given.element = element;
    given.data = billing ? { ...data, billing_details: { ...billing, ...data?.billing_details } } : data;
    return undefined;
  }

  private async confirm({ secret, params, element, data }: Given): Promise<Json> {
    const sent = { use_stripe_sdk: true, ...params };
    if (element) {
      const request: Request = { what: 'confirm', access: this.intents.access, secret, params: { ...sent, payment_method_data: data } };
      const answer: Json = await element.request(request);
      return answer.isGone ? this.intents.found(secret, answer) : resultOf(answer as Answer, nameOf(secret));
    }
    return this.intents.confirm(secret, sent);
  }

  retrievePaymentIntent(secret: string): Promise<Json> {
    checkSecret(secret, 'stripe.retrievePaymentIntent', 'payment');
    return this.intents.retrieve(secret);
  }

  retrieveSetupIntent(secret: string): Promise<Json> {
    checkSecret(secret, 'stripe.retrieveSetupIntent', 'setup');
    return this.intents.retrieve(secret);
  }

  async handleNextAction(options: Json): Promise<Json> {
    const secret: unknown = options?.clientSecret;
    checkSecret(secret, 'stripe.handleNextAction');
    return this.intents.act(secret, await this.intents.retrieve(secret));
  }

  async handleCardAction(secret: string): Promise<Json> {
    checkSecret(secret, 'stripe.handleCardAction', 'payment');
    const result = await this.intents.retrieve(secret);
    const { paymentIntent } = result;
    if (paymentIntent && paymentIntent.status !== 'requires_action') {
      refuse(`handleCardAction: the PaymentIntent supplied is not in the requires_action state, but ${String(paymentIntent.status)}.`);
    }
    return this.intents.act(secret, result);
  }

  handleCardPayment(secret: string, element?: Json, data?: Json): Promise<Json> {
    return this.confirmCardPayment(secret, element instanceof TapElement ? { ...data, payment_method: { card: element, ...data?.payment_method_data } } : element);
  }

  // Cards for the merchant's server

  async createPaymentMethod(options: Json): Promise<Json> {
    if (options?.elements !== undefined) {
      const group = options.elements as Elements;
      const given: Given = { secret: '', params: {} };
      const invalid = await this.ofElements(group, given, options.params, 'stripe.createPaymentMethod');
      if (invalid) return { error: invalid };
      return this.made(given.element as TapElement, 'payment_method', given.data ?? {}, 'paymentMethod');
    }
    const { type, ...params } = options ?? {};
    if (type !== 'card') return refuseUnsupported(`stripe.createPaymentMethod({type: ${JSON.stringify(type)}})`);
    const { element, data } = cardOf(params, {});
    if (!element) return resultOf(await this.intents.call('POST', '/v1/payment_methods', { type, ...data }), 'paymentMethod');
    return this.made(element, 'payment_method', data, 'paymentMethod');
  }

  /** For the merchant's server to confirm with. Its card is a new one: a card on file is confirmed with by its own id. */
  async createConfirmationToken(options: Json): Promise<Json> {
    const name = 'stripe.createConfirmationToken';
    const { payment_method_data: data, ...params } = options?.params ?? {};
    const given: Given = { secret: '', params: { use_stripe_sdk: true, ...params } };
    if (options?.elements === undefined) refuse(`${name}() needs the elements of stripe.elements().`);
    const invalid = await this.ofElements(options.elements, given, data, name);
    if (invalid) return { error: invalid };
    const group = options.elements as Elements;
    const usage: Json = group.options.setupFutureUsage ?? group.options.setup_future_usage;
    const element = given.element as TapElement;
    const answer: Json = await element.request({ what: 'validate' });
    if (answer.selected) return refuseUnsupported(`${name}() with a card on file`);
    return this.made(element, 'confirmation_token', { setup_future_usage: usage, ...given.params, payment_method_data: given.data }, 'confirmationToken');
  }

  async createToken(source: Json, data: Json = {}): Promise<Json> {
    const element: TapElement | undefined = source instanceof Elements ? source.card : source;
    if (!(element instanceof TapElement)) return refuseUnsupported(`stripe.createToken(${JSON.stringify(source)})`);
    return this.made(element, 'token', data, 'token');
  }

  private async made(element: TapElement, what: 'payment_method' | 'token' | 'confirmation_token', params: Json, name: string): Promise<Json> {
    if (!['card', 'cardNumber', 'payment'].includes(element.type)) {
      refuse(`A ${element.type} Element has no whole card: give the card or cardNumber Element.`);
    }
    const answer: Json = await element.request({ what, access: this.intents.access, params });
    return resultOf(answer as Answer, name);
  }

  createEmbeddedCheckoutPage(options: Json): Promise<EmbeddedCheckout> {
    return embeddedCheckout(new URL(this.frameUrl).origin, this.locale, options);
  }

  /** As it was called before. */
  initEmbeddedCheckout(options: Json): Promise<EmbeddedCheckout> {
    return this.createEmbeddedCheckoutPage(options);
  }

  redirectToCheckout(): never {
    return refuse("stripe.redirectToCheckout isn't there any more, at Stripe neither: redirect to the Checkout Session's url.");
  }

  // What Stripe's own wrappers call

  registerAppInfo(_: Json): void {
    // nothing is told to anybody
  }

  _registerWrapper(_: Json): void {
    // likewise
  }
}

function checkToken(token: Json, name: string): string {
  if (typeof token !== 'string' || !/^ctoken_[A-Za-z0-9]+$/.test(token)) refuse(`Invalid value for ${name}(): a confirmation token is of the form ctoken_….`);
  return token;
}

/** `{card: element, billing_details}`, or `{card: {token}}`, as a merchant gives a card. */
function cardOf(given: Json, params: Json): { element?: TapElement; data?: Json } {
  const { card, type, ...data } = given;
  if (type !== undefined && type !== 'card') return refuseUnsupported(`payment_method.type ${JSON.stringify(type)}`);
  if (card instanceof TapElement) {
    if (!['card', 'cardNumber', 'payment'].includes(card.type)) refuse(`A ${card.type} Element has no whole card: give the card or cardNumber Element.`);
    return { element: card, data };
  }
  if (typeof card?.token === 'string') {
    const whole = { ...data, card: { token: card.token } };
    Object.assign(params, { payment_method_data: { type: 'card', ...whole } });
    return { data: whole };
  }
  throw new IntegrationError(
    "Invalid value for card: it should be a card or cardNumber Element, or an object with a token. A card's number is typed into an Element, and nowhere else." +
      (encodeForm(card ?? {}).length > 0 ? ' What you gave was sent nowhere.' : ''),
  );
}
