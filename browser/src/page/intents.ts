/** Intents in the browser: what is asked of their secrets, and what is done after they are confirmed. */

import { type Access, type Answer, type Json, call, confirm, idOfSecret, isUndone, pathOfIntent } from '../shared/api.ts';
import { languageOf, wordsIn } from '../shared/words.ts';
import { refuse } from './errors.ts';
import { challenge } from './modal.ts';

const SECRET = /^(?:pi|seti)_[A-Za-z0-9]+_secret_[A-Za-z0-9]+$/;

export const isSetup = (secret: string): boolean => secret.startsWith('seti_');

/** Throw `IntegrationError` for what is no client secret; the secret itself isn't told. */
export function checkSecret(secret: unknown, where: string, kind?: 'payment' | 'setup'): asserts secret is string {
  const form = kind === 'setup' ? 'seti_…_secret_…' : kind === 'payment' ? 'pi_…_secret_…' : 'pi_…_secret_… or seti_…_secret_…';
  const right = typeof secret === 'string' && SECRET.test(secret) && (kind === undefined || isSetup(secret) === (kind === 'setup'));
  if (!right) refuse(`Invalid value for ${where}: the client secret should be of the form ${form}.`);
}

/** What a call's answer is to the merchant's page. */
export function resultOf(answer: Answer | { error: Json }, name: string): Json {
  if ('error' in answer) return { error: answer.error };
  return answer.status === 200 ? { [name]: answer.body } : { error: answer.body?.error ?? { type: 'api_error', message: `HTTP ${answer.status}` } };
}

export const nameOf = (secret: string): string => (isSetup(secret) ? 'setupIntent' : 'paymentIntent');

/** Whoever calls it is within Tap's script and page; all else of the flow is here. */
export class Intents {
  private readonly base: string;
  readonly access: Access;
  private readonly locale: string;

  constructor(base: string, access: Access, locale: string) {
    this.base = base;
    this.access = access;
    this.locale = locale;
  }

  call(method: 'GET' | 'POST', path: string, params: Json): Promise<Answer | { error: Json }> {
    return call(this.base, method, path, params, this.access).catch(() => this.lost());
  }

  /** With a card that the page may know: one on file, or a token. */
  async confirm(secret: string, params: Json): Promise<Json> {
    return resultOf(await confirm(this.base, secret, params, this.access).catch(() => this.lost()), nameOf(secret));
  }

  private lost(): { error: Json } {
    return { error: { type: 'api_connection_error', message: wordsIn(languageOf(this.locale, navigator.languages)).offline } };
  }

  async retrieve(secret: string, expand?: string[]): Promise<Json> {
    return resultOf(await this.call('GET', pathOfIntent(idOfSecret(secret)), { client_secret: secret, expand }), nameOf(secret));
  }

  /** What became of an intent while nobody was there to hear it; where that is nothing, `otherwise`. */
  async found(secret: string, otherwise: { error: Json }): Promise<Json> {
    const result = await this.retrieve(secret);
    return result.error || isUndone(result[nameOf(secret)]) ? { error: otherwise.error } : result;
  }

  /** Have the buyer do what an intent waits for, and return what became of it. `redirects`: leave the page where the intent says so. */
  async act(secret: string, result: Json): Promise<Json> {
    const intent: Json = result[nameOf(secret)];
    const action: Json = intent?.next_action;
    if (result.error || intent?.status !== 'requires_action' || !action) return result;
    const url: unknown = action.redirect_to_url?.url ?? action.use_stripe_sdk?.stripe_js;
    if (typeof url !== 'string' || !/^https?:\/\//.test(url)) return refuse(`Tap's script knows no next action ${String(action.type)}.`);
    if (action.type === 'redirect_to_url') {
      location.assign(url);
      return new Promise(() => undefined); // the page is left
    }
    let latest: Json = result;
    const { closed } = await challenge(url, this.locale, async () => {
      latest = await this.retrieve(secret);
      return latest.error === undefined && latest[nameOf(secret)].status !== 'requires_action';
    });
    if (closed) latest = await this.retrieve(secret);
    return this.authenticated(secret, latest);
  }

  /** After the buyer came back from the issuer. */
  private authenticated(secret: string, result: Json): Json {
    const intent: Json = result[nameOf(secret)];
    if (result.error || !['requires_payment_method', 'requires_action'].includes(intent.status)) return result;
    const message = wordsIn(languageOf(this.locale, navigator.languages)).not_authenticated;
    const { code, kind } = isSetup(secret)
      ? { code: 'setup_intent_authentication_failure', kind: 'setup_intent' }
      : { code: 'payment_intent_authentication_failure', kind: 'payment_intent' };
    const told: Json = intent.status === 'requires_action' ? null : (intent.last_payment_error ?? intent.last_setup_error);
    return { error: { ...(told ?? { type: 'invalid_request_error', code }), message: told?.message ?? message, [kind]: intent } };
  }
}

/** What a browser would run, or show as of the merchant's page. */
const RUN = ['javascript:', 'data:', 'vbscript:', 'blob:', 'file:'];

export const isRun = (url: string): boolean => RUN.includes(new URL(url, location.href).protocol);

/** Throw `IntegrationError` for a return_url that leads nowhere, before anything is paid that could not lead there. */
export function checkReturn(url: unknown, where: string): void {
  try {
    if (typeof url === 'string' && !isRun(url)) return;
  } catch {
    // no address at all
  }
  refuse(`Invalid value for ${where}: return_url should be the address of a page of yours.`);
}

/** Where a payment ends that leads back to the merchant by `return_url`. */
export function returnTo(url: string, secret: string, status: string): Promise<never> {
  const target = new URL(url, location.href);
  const kind = isSetup(secret) ? 'setup_intent' : 'payment_intent';
  target.searchParams.set(kind, idOfSecret(secret));
  target.searchParams.set(`${kind}_client_secret`, secret);
  target.searchParams.set('redirect_status', ['succeeded', 'requires_capture', 'processing'].includes(status) ? 'succeeded' : 'failed');
  location.assign(target.href);
  return new Promise(() => undefined); // the page is left
}
