/** A merchant's program, and our own interface, held against Stripe's type declarations. Nothing here runs: it is compiled. */

import type {
  Appearance, CreateConfirmationToken, Stripe as StripeJs, StripeAddressElement, StripeAddressElementOptions, StripeCardCvcElement, StripeCardCvcElementOptions,
  StripeCardElement, StripeCardElementOptions, StripeCardExpiryElement, StripeCardExpiryElementOptions, StripeCardNumberElement, StripeCardNumberElementOptions,
  StripeConstructorOptions, StripeElementType, StripeElements, StripeElementsOptionsClientSecret, StripeElementsOptionsMode, StripeEmbeddedCheckout,
  StripeEmbeddedCheckoutOptions, StripePaymentElement, StripePaymentElementOptions,
} from '@stripe/stripe-js';
import type {
  Appearance as FormerAppearance, Stripe as FormerStripeJs, StripeAddressElementOptions as FormerAddressOptions, StripeConstructorOptions as FormerConstructorOptions,
  StripeElements as FormerElements, StripeElementsOptionsClientSecret as FormerOptionsClientSecret, StripeElementsOptionsMode as FormerOptionsMode,
  StripePaymentElementOptions as FormerPaymentOptions,
} from 'stripe-js-of-2025';
import type { FORMER_VARIABLES, VARIABLES } from '../src/frame/style.ts';
import type { TapElement } from '../src/page/element.ts';
import type { Elements } from '../src/page/elements.ts';
import type { EmbeddedCheckout } from '../src/page/embedded_checkout.ts';
import type { TapStripe } from '../src/page/stripe.ts';
import type { OPTIONS, UNSUPPORTED, UNSUPPORTED_GROUP_OPTIONS, UNSUPPORTED_OPTIONS } from '../src/page/unsupported.ts';

type Unsupported = (typeof UNSUPPORTED)[number];
type Supported<S> = Exclude<keyof S, Unsupported>;
type Shared<T, K extends keyof T> = { [name in K]: T[name] };

/** Wherever a page has Stripe's object, this year's or last year's, ours will do: all of its members are there, or are refused by name. */
export const asStripe = (ours: TapStripe): Shared<StripeJs, Exclude<Supported<StripeJs>, 'elements' | 'confirmPayment'>> => ours;
export const asFormerStripe = (ours: TapStripe): Shared<FormerStripeJs, Exclude<Supported<FormerStripeJs>, 'elements' | 'confirmPayment'>> => ours;
export const asElements = (ours: Elements): Pick<StripeElements, 'update' | 'fetchUpdates'> => ours;
export const asEmbedded = (ours: EmbeddedCheckout): StripeEmbeddedCheckout => ours;
export const confirms = (ours: TapStripe): ((options: Parameters<StripeJs['confirmPayment']>[0]) => Promise<unknown>) => (options) => ours.confirmPayment(options);
export const creates = (ours: TapStripe, type: StripeElementType): unknown => ours.elements({ mode: 'setup' }).create(type);

/** What nothing is missing in. */
type None<T extends never> = T;
type Names<T> = T extends readonly (infer N)[] ? N : never;
type Declared<A, B> = keyof A | keyof B;
export type NothingMissing = [
  None<Exclude<Declared<StripeElements, FormerElements>, keyof Elements>>,
  None<Exclude<Declared<StripeCardElement, StripeCardNumberElement>, keyof TapElement>>,
  None<Exclude<Declared<StripeCardExpiryElement, StripeCardCvcElement>, keyof TapElement>>,
  None<Exclude<Declared<StripePaymentElement, StripeAddressElement>, keyof TapElement>>,
  None<Exclude<Declared<StripeCardElementOptions, StripeCardNumberElementOptions>, Names<typeof OPTIONS.line>>>,
  None<Exclude<Declared<StripeCardExpiryElementOptions, StripeCardCvcElementOptions>, Names<typeof OPTIONS.line>>>,
  None<Exclude<Declared<StripePaymentElementOptions, FormerPaymentOptions>, Names<typeof OPTIONS.payment> | Names<typeof UNSUPPORTED_OPTIONS>>>,
  None<Exclude<Declared<StripeAddressElementOptions, FormerAddressOptions>, Names<typeof OPTIONS.address> | Names<typeof UNSUPPORTED_OPTIONS>>>,
  None<Exclude<keyof StripeElementsOptionsClientSecret | keyof StripeElementsOptionsMode, GroupOption>>,
  None<Exclude<keyof FormerOptionsClientSecret | keyof FormerOptionsMode, GroupOption>>,
  None<Exclude<Declared<StripeConstructorOptions, FormerConstructorOptions>, ConstructorOption>>,
  None<Exclude<keyof StripeEmbeddedCheckoutOptions, EmbeddedOption>>,
  None<Exclude<keyof CreateConfirmationToken, 'elements' | 'params'>>,
  None<Exclude<Declared<Appearance, FormerAppearance>, 'disableAnimations' | 'inputs' | 'labels' | 'rules' | 'theme' | 'variables'>>,
  None<Exclude<Declared<NonNullable<Appearance['variables']>, NonNullable<FormerAppearance['variables']>>, Names<typeof VARIABLES> | keyof typeof FORMER_VARIABLES | VariableOfNothing>>,
];

/** What `elements()` takes. Those on the second line choose among payment methods, where there is one. */
type GroupOption =
  | 'amount' | 'appearance' | 'clientSecret' | 'currency' | 'customerSessionClientSecret' | 'fonts' | 'locale' | 'loader' | 'mode' | 'setupFutureUsage' | 'setup_future_usage'
  | 'allowedPaymentMethodTypes' | 'excludedPaymentMethodTypes' | 'paymentMethodTypes' | 'payment_method_types' | 'paymentMethodConfiguration' | 'payment_method_configuration'
  | 'captureMethod' | 'capture_method' | 'paymentMethodCreation' | 'paymentMethodOptions' | 'payment_method_options' | 'syncAddressCheckbox'
  | Names<typeof UNSUPPORTED_GROUP_OPTIONS>;

/** What `Stripe()` takes: betas are refused, and there is no assistant to be turned off. */
type ConstructorOption = 'apiVersion' | 'betas' | 'developerTools' | 'locale' | 'stripeAccount';

/** What an embedded page takes: the second line is refused, but what only listens to what Stripe counts. */
type EmbeddedOption = 'clientSecret' | 'fetchClientSecret' | 'onComplete' | 'onAnalyticsEvent' | 'onLineItemsChange' | 'onShippingDetailsChange';

/** Variables of what we don't show: buttons, tabs, Link's passcodes, texts in sizes and colours that nothing has. */
type VariableOfNothing =
  | `${'accessibleColorOn' | 'button' | 'tab'}${string}` | `color${'Background' | 'Danger' | 'Primary' | 'Success' | 'Warning'}Text` | 'colorSuccess' | 'colorWarning'
  | `accordionItemTrigger${string}` | `font${'Size2Xs' | 'Size3Xs' | 'SizeLg' | 'SizeXl' | 'SizeXs' | 'WeightBold' | 'WeightLight' | 'WeightMedium'}`
  | `icon${'Checkmark' | 'Close' | 'LoadingIndicator' | 'Menu' | 'Passcode' | 'Redirect'}${string}` | `icon${'' | 'ChevronDown'}HoverColor`
  | `colorIcon${'Hover' | 'Checkmark' | 'ChevronDownHover' | 'Redirect'}` | `colorIconTab${string}` | `${'logo' | 'blockLogo'}Color` | `colorLogo${string}` | 'spacingTab';

/** What a shop does. */
export async function shop(stripe: StripeJs & TapStripe, secret: string): Promise<string | undefined> {
  const elements = stripe.elements({ locale: 'de' });
  const card = elements.create('card', { style: { base: { fontSize: '16px' } }, hidePostalCode: true });
  card.mount('#card');
  card.on('change', ({ complete, error }: { complete: boolean; error?: { message: string } }) => console.log(complete, error?.message));
  const { paymentIntent, error } = await stripe.confirmCardPayment(secret, { payment_method: { card, billing_details: { name: 'Jenny' } } });
  return error?.decline_code ?? paymentIntent?.status;
}
