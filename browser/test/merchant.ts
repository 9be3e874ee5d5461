/** A merchant's program, and our own interface, held against Stripe's type declarations. Nothing here runs: it is compiled. */

import type { Stripe as StripeJs, StripeElementType, StripeElements } from '@stripe/stripe-js';
import type { Elements } from '../src/page/elements.ts';
import type { TapStripe } from '../src/page/stripe.ts';

type Supported =
  | 'elements'
  | 'confirmCardPayment'
  | 'confirmCardSetup'
  | 'confirmSetup'
  | 'createPaymentMethod'
  | 'createToken'
  | 'retrievePaymentIntent'
  | 'retrieveSetupIntent'
  | 'handleNextAction'
  | 'handleCardAction'
  | 'registerAppInfo';

type Shared<T, K extends keyof T> = { [name in K]: T[name] };

/** Wherever a page has Stripe's object, ours will do. */
export const asStripe = (ours: TapStripe): Shared<StripeJs, Exclude<Supported, 'elements'>> => ours;
export const asElements = (ours: Elements): Pick<StripeElements, 'update' | 'fetchUpdates'> => ours;
export const confirms = (ours: TapStripe): ((options: Parameters<StripeJs['confirmPayment']>[0]) => Promise<unknown>) => (options) => ours.confirmPayment(options);
export const creates = (ours: TapStripe, type: StripeElementType): unknown => ours.elements({ mode: 'setup' }).create(type);

/** What a shop does. */
export async function shop(stripe: StripeJs & TapStripe, secret: string): Promise<string | undefined> {
  const elements = stripe.elements({ locale: 'de' });
  const card = elements.create('card', { style: { base: { fontSize: '16px' } }, hidePostalCode: true });
  card.mount('#card');
  card.on('change', ({ complete, error }: { complete: boolean; error?: { message: string } }) => console.log(complete, error?.message));
  const { paymentIntent, error } = await stripe.confirmCardPayment(secret, { payment_method: { card, billing_details: { name: 'Jenny' } } });
  return error?.decline_code ?? paymentIntent?.status;
}
