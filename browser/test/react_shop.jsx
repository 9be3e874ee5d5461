/** A shop with Stripe's own React library, unchanged. */

import { Elements, PaymentElement, useElements, useStripe } from '@stripe/react-stripe-js';
import { loadStripe } from '@stripe/stripe-js';
import { useState } from 'react';
import { createRoot } from 'react-dom/client';

const { key, secret, back, appearance } = globalThis.shop;
const stripe = loadStripe(key);

function Form() {
  const stripe = useStripe();
  const elements = useElements();
  const [said, say] = useState('');
  const pay = async (event) => {
    event.preventDefault();
    const confirmParams = { return_url: back };
    const { error, paymentIntent } = await stripe.confirmPayment({ elements, confirmParams, redirect: globalThis.shop.redirect });
    say(error ? `${error.code}: ${error.message}` : paymentIntent.status);
  };
  return (
    <form onSubmit={pay}>
      <div id="payment">
        <PaymentElement onReady={() => say('ready')} />
      </div>
      <button disabled={!stripe}>Pay</button>
      <output>{said}</output>
    </form>
  );
}

createRoot(document.getElementById('root')).render(
  <Elements stripe={stripe} options={{ clientSecret: secret, appearance }}>
    <Form />
  </Elements>,
);
