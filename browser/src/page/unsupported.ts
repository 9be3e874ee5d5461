/** What Stripe's interface has beside cards: each is refused by its name when it is called. All of it is held against their declarations (test/merchant.ts). */

/** Of `Stripe(…)`. */
export const UNSUPPORTED = [
  'collectBankAccountForPayment', 'collectBankAccountForSetup', 'collectBankAccountToken', 'collectFinancialConnectionsAccounts',
  'confirmAcssDebitPayment', 'confirmAcssDebitSetup', 'confirmAffirmPayment', 'confirmAfterpayClearpayPayment', 'confirmAlipayPayment',
  'confirmAmazonPaySetup', 'confirmAuBecsDebitPayment', 'confirmAuBecsDebitSetup', 'confirmBacsDebitSetup', 'confirmBancontactPayment',
  'confirmBancontactSetup', 'confirmBilliePayment', 'confirmBlikPayment', 'confirmBlikSetup', 'confirmBoletoPayment', 'confirmBoletoSetup',
  'confirmCashappPayment', 'confirmCashappSetup', 'confirmCustomerBalancePayment', 'confirmEpsPayment', 'confirmFpxPayment', 'confirmGiropayPayment',
  'confirmGrabPayPayment', 'confirmIdealPayment', 'confirmIdealSetup', 'confirmKlarnaPayment', 'confirmKonbiniPayment', 'confirmMobilepayPayment',
  'confirmMultibancoPayment', 'confirmOrder', 'confirmOxxoPayment', 'confirmP24Payment', 'confirmPayByBankPayment', 'confirmPayNowPayment',
  'confirmPayPalPayment', 'confirmPayPalSetup', 'confirmPixPayment', 'confirmPromptPayPayment', 'confirmRevolutPayPayment', 'confirmSepaDebitPayment',
  'confirmSepaDebitSetup', 'confirmSofortPayment', 'confirmSofortSetup', 'confirmTwintPayment', 'confirmUsBankAccountPayment', 'confirmUsBankAccountSetup',
  'confirmWechatPayPayment', 'confirmWithRadar', 'createEphemeralKeyNonce',
  'createPaymentMethodFromCheckout', 'createRadarSession', 'createSource', 'initCheckout', 'initCheckoutElementsSdk', 'initCheckoutFormSdk',
  'initializePricing', 'paymentRequest', 'processOrder', 'retrieveOrder', 'retrieveSource', 'verifyIdentity',
  'verifyMicrodepositsForPayment', 'verifyMicrodepositsForSetup',
] as const;

/** Of `elements(…)`: options. Those that only choose among payment methods are taken, since there is one. */
export const UNSUPPORTED_GROUP_OPTIONS = ['onBehalfOf', 'on_behalf_of', 'externalPaymentMethodTypes', 'customPaymentMethods', 'adaptivePricing', 'customerOptions', 'customerSession'] as const;

/** Of each element: options that it takes, or whose effect can't be missed where nothing but cards is offered. */
export const OPTIONS = {
  line: ['classes', 'style', 'value', 'hidePostalCode', 'iconStyle', 'hideIcon', 'showIcon', 'disabled', 'disableLink', 'preferredNetwork', 'placeholder'],
  payment: ['defaultValues', 'business', 'paymentMethodOrder', 'fields', 'readOnly', 'terms', 'wallets', 'layout', 'walletOptions', 'classes'],
  address: ['mode', 'autocomplete', 'allowedCountries', 'blockPoBox', 'defaultValues', 'fields', 'validation', 'display', 'classes'],
} as const;

/** Likewise, refused where they are given. */
export const UNSUPPORTED_OPTIONS = ['applePay', 'contacts'] as const;
