/** A frame with card fields. The page gives it a port once; through the port go what it shows and what came of a request, and never what was typed. */

import { type Json, call, confirm, idOfSecret } from '../shared/api.ts';
import type { Opening, Request, ToFrame, ToPage } from '../shared/protocol.ts';
import { languageOf, wordsIn } from '../shared/words.ts';
import { Form } from './form.ts';
import { peersOf } from './peers.ts';

const SECRET = /^(?:pi|seti)_[A-Za-z0-9]+_secret_[A-Za-z0-9]+$/;
const KEY = /^pk_(?:test|live)_[A-Za-z0-9]+$/;

/** Of the card's form, what `billing_details` doesn't say already. */
function billing(form: Form, given: Json): Json {
  const own = form.type === 'card' || form.type === 'payment' ? form.address() : {};
  const address = { ...own, ...(given?.address ?? {}) };
  const name = form.type === 'payment' ? form.value().name || undefined : undefined;
  return { name, ...(given ?? {}), ...(Object.values(address).some((each) => each !== undefined) ? { address } : {}) };
}

async function carryOut(form: Form, request: Request): Promise<Json> {
  if (request.what === 'value') {
    const complete = form.validate() === undefined;
    return { complete, isNewAddress: true, value: form.value() };
  }
  const flaws = [form, ...peersOf(form)].map((each) => ({ each, flaw: each.validate() }));
  const flawed = flaws.find(({ flaw }) => flaw !== undefined);
  flawed?.each.focus();
  if (flawed) return { error: flawed.flaw };
  if (request.what === 'validate') return { selected: form.saved ?? null };
  if (!KEY.test(request.access.key)) return { error: { type: 'invalid_request_error', message: 'A frame takes publishable keys only.' } };
  const { params, access } = request;
  if (request.what !== 'confirm' && form.saved !== undefined) return { error: { type: 'invalid_request_error', message: `A card on file is chosen, ${form.saved}: use it by its id.` } };
  switch (request.what) {
    case 'payment_method': {
      const details = billing(form, params.billing_details);
      return call('', 'POST', '/v1/payment_methods', { ...params, type: 'card', billing_details: details, card: form.card() }, access);
    }
    case 'confirmation_token': {
      const { payment_method_data: data, ...others } = params;
      const method = { ...(data ?? {}), type: 'card', billing_details: billing(form, data?.billing_details), card: form.card() };
      return call('', 'POST', '/v1/confirmation_tokens', { ...others, payment_method_data: method }, access);
    }
    case 'token': {
      const { postal_code: zip } = form.address();
      return call('', 'POST', '/v1/tokens', { card: { address_zip: zip, ...params, ...form.card() } }, access);
    }
    case 'confirm': {
      if (!SECRET.test(request.secret)) return { error: { type: 'invalid_request_error', message: `No client secret: ${idOfSecret(request.secret)}…` } };
      const { payment_method_data: data, ...others } = params;
      if (form.saved !== undefined) return confirm('', request.secret, { ...others, payment_method: form.saved }, access);
      const { saving } = form;
      const redisplay = saving ? { allow_redisplay: saving.redisplay } : {};
      const method = { ...redisplay, ...(data ?? {}), type: 'card', billing_details: billing(form, data?.billing_details), card: form.card() };
      const usage = saving?.usage && request.secret.startsWith('pi_') ? { setup_future_usage: saving.usage } : {};
      return confirm('', request.secret, { ...usage, ...others, payment_method_data: method }, access);
    }
  }
}

function serve(port: MessagePort, { type, group, settings }: Opening): void {
  const tell = (message: ToPage): void => port.postMessage(message);
  const form = new Form(type, group, settings, tell);
  window.tapForm = form;
  port.onmessage = async ({ data }: MessageEvent<ToFrame>) => {
    switch (data.does) {
      case 'settings':
        form.apply(data.settings);
        break;
      case 'request': {
        const answer: Json = await carryOut(form, data.request).catch(() => ({
          error: { type: 'api_connection_error', message: wordsIn(languageOf(settings.locale, navigator.languages)).offline },
        }));
        tell({ says: 'answer', number: data.number, answer });
        break;
      }
      case 'focus':
      case 'blur':
      case 'clear':
        form[data.does]();
    }
  };
  tell({ says: 'ready' });
}

/** From the page that this frame is in, and from it once: a frame, an opener, or a window of anybody else's gets nothing. */
function open(event: MessageEvent): void {
  const message = event.data as Opening | null;
  const [port] = event.ports;
  if (event.source !== parent || window === parent || message?.tap !== 'open' || port === undefined) return;
  removeEventListener('message', open);
  serve(port, message);
}

addEventListener('message', open);
