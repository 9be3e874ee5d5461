/** A merchant's program, and our own interface, held against Stripe's type declarations. Nothing here runs: it is compiled. */

import type {
  Stripe as StripeJs, StripeAddressElement, StripeAddressElementOptions, StripeCardElement, StripeCardElementOptions, StripeCardNumberElement,
  StripeCardNumberElementOptions, StripeElementType, StripeElements, StripeElementsOptionsClientSecret, StripeElementsOptionsMode, StripePaymentElement,
  StripePaymentElementOptions,
} from '@stripe/stripe-js';
import type { TapElement } from '../src/page/element.ts';
import type { Elements } from '../src/page/elements.ts';
import type { TapStripe } from '../src/page/stripe.ts';
import type { OPTIONS, UNSUPPORTED, UNSUPPORTED_GROUP_OPTIONS, UNSUPPORTED_OPTIONS } from '../src/page/unsupported.ts';

type Unsupported = (typeof UNSUPPORTED)[number];
type Supported = Exclude<keyof StripeJs, Unsupported>;
type Shared<T, K extends keyof T> = { [name in K]: T[name] };

/** Wherever a page has Stripe's object, ours will do: all of its members are there, or are refused by name. */
export const asStripe = (ours: TapStripe): Shared<StripeJs, Exclude<Supported, 'elements' | 'confirmPayment'>> => ours;
export const asElements = (ours: Elements): Pick<StripeElements, 'update' | 'fetchUpdates'> => ours;
export const confirms = (ours: TapStripe): ((options: Parameters<StripeJs['confirmPayment']>[0]) => Promise<unknown>) => (options) => ours.confirmPayment(options);
export const creates = (ours: TapStripe, type: StripeElementType): unknown => ours.elements({ mode: 'setup' }).create(type);

/** What nothing is missing in. */
type None<T extends never> = T;
type Names<T> = T extends readonly (infer N)[] ? N : never;
export type NothingMissing = [
  None<Exclude<keyof StripeElements, keyof Elements>>,
  None<Exclude<keyof StripeCardElement | keyof StripeCardNumberElement | keyof StripePaymentElement | keyof StripeAddressElement, keyof TapElement>>,
  None<Exclude<keyof StripeCardElementOptions | keyof StripeCardNumberElementOptions, Names<typeof OPTIONS.line>>>,
  None<Exclude<keyof StripePaymentElementOptions, Names<typeof OPTIONS.payment> | Names<typeof UNSUPPORTED_OPTIONS>>>,
  None<Exclude<keyof StripeAddressElementOptions, Names<typeof OPTIONS.address> | Names<typeof UNSUPPORTED_OPTIONS>>>,
  None<Exclude<keyof StripeElementsOptionsClientSecret | keyof StripeElementsOptionsMode, GroupOption | Names<typeof UNSUPPORTED_GROUP_OPTIONS>>>,
];

/** What `elements()` takes. Those on the second line choose among payment methods, where there is one. */
type GroupOption =
  | 'amount' | 'appearance' | 'clientSecret' | 'currency' | 'customerSessionClientSecret' | 'fonts' | 'locale' | 'loader' | 'mode' | 'setupFutureUsage' | 'setup_future_usage'
  | 'allowedPaymentMethodTypes' | 'excludedPaymentMethodTypes' | 'paymentMethodTypes' | 'payment_method_types' | 'paymentMethodConfiguration' | 'payment_method_configuration'
  | 'captureMethod' | 'capture_method' | 'paymentMethodCreation' | 'paymentMethodOptions' | 'payment_method_options' | 'syncAddressCheckbox';

/** What a shop does. */
export async function shop(stripe: StripeJs & TapStripe, secret: string): Promise<string | undefined> {
  const elements = stripe.elements({ locale: 'de' });
  const card = elements.create('card', { style: { base: { fontSize: '16px' } }, hidePostalCode: true });
  card.mount('#card');
  card.on('change', ({ complete, error }: { complete: boolean; error?: { message: string } }) => console.log(complete, error?.message));
  const { paymentIntent, error } = await stripe.confirmCardPayment(secret, { payment_method: { card, billing_details: { name: 'Jenny' } } });
  return error?.decline_code ?? paymentIntent?.status;
}
