/** What is thrown at a merchant's page that asks for what isn't there, under Stripe's name. */

export class IntegrationError extends Error {
  override readonly name = 'IntegrationError';
}

export const refuse = (message: string): never => {
  throw new IntegrationError(message);
};

/** Refuse what can't be told to a frame, such as what has itself in it. */
export function checkPlain(value: unknown, what: string): void {
  try {
    JSON.stringify(value);
  } catch {
    refuse(`Invalid ${what}: they should be plain data.`);
  }
}

const WALLETS: Record<string, string> = {
  applePay: 'Apple Pay',
  googlePay: 'Google Pay',
  paymentRequest: 'Apple Pay and Google Pay (a payment request)',
  paymentRequestButton: 'Apple Pay and Google Pay (paymentRequestButton)',
  expressCheckout: 'Apple Pay and Google Pay (expressCheckout)',
};

/** Refuse what Tap hasn't, by its name. */
export const refuseUnsupported = (name: string): never => refuse(`${WALLETS[name] ?? name} is not supported: Tap takes cards.`);
