// A merchant's payments with stripe-go: from the customer to the refund, and the events that tell of them.
//
// Tap's address and a secret key are in TAP_BASE_URL and TAP_API_KEY. Each step prints one line; the first that fails ends the program.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/stripe/stripe-go/v85"
)

// How long all of it may take: what never comes, as an event that was lost, is to end some day.
const timeout = 5 * time.Minute

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := run(ctx, os.Getenv("TAP_BASE_URL"), os.Getenv("TAP_API_KEY")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, baseURL, key string) error {
	fmt.Println("stripe-go", stripe.ClientVersion, "for API version", stripe.APIVersion)
	receiver, err := listen()
	if err != nil {
		return err
	}
	defer receiver.close()

	// The address is all that makes it a client of Tap.
	backends := stripe.NewBackendsWithConfig(&stripe.BackendConfig{URL: stripe.String(baseURL)})
	merchant := &shop{client: stripe.NewClient(key, stripe.WithBackends(backends)), receiver: receiver}

	steps := []struct {
		name string
		take func(context.Context) error
	}{
		{"endpoint", merchant.createEndpoint},
		{"customer", merchant.createCustomer},
		{"card", merchant.attachCard},
		{"payment", merchant.pay},
		{"decline", merchant.payWithoutMoney},
		{"capture", merchant.captureInPart},
		{"refund", merchant.refundInPart},
		{"list", merchant.listPayments},
		{"replay", merchant.payOnceUnderOneKey},
		{"events", merchant.receiveEvents},
	}
	for _, step := range steps {
		if err := step.take(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Println(step.name, "ok")
	}
	return nil
}

// shop is a merchant with one customer.
type shop struct {
	client   *stripe.Client
	receiver *receiver
	customer *stripe.Customer
	card     *stripe.PaymentMethod
	payments []string // the ids of all payment intents, oldest first
}

// createEndpoint asks for events in the version that this release of stripe-go was made for: it refuses those of another.
func (s *shop) createEndpoint(ctx context.Context) error {
	endpoint, err := s.client.V1WebhookEndpoints.Create(ctx, &stripe.WebhookEndpointCreateParams{
		URL:           stripe.String(s.receiver.url),
		EnabledEvents: stripe.StringSlice([]string{"*"}),
		APIVersion:    stripe.String(stripe.APIVersion),
	})
	if err != nil {
		return err
	}
	s.receiver.verifyWith(endpoint.Secret)
	return expect("the endpoint's version", endpoint.APIVersion, stripe.APIVersion)
}

func (s *shop) createCustomer(ctx context.Context) (err error) {
	s.customer, err = s.client.V1Customers.Create(ctx, &stripe.CustomerCreateParams{
		Email:    stripe.String("ada@example.com"),
		Name:     stripe.String("Ada Lovelace"),
		Metadata: map[string]string{"account": "1815"},
	})
	if err != nil {
		return err
	}
	return expect("the customer's metadata", s.customer.Metadata["account"], "1815")
}

func (s *shop) attachCard(ctx context.Context) (err error) {
	s.card, err = s.client.V1PaymentMethods.Attach(ctx, "pm_card_visa", &stripe.PaymentMethodAttachParams{
		Customer: stripe.String(s.customer.ID),
	})
	if err != nil {
		return err
	}
	return errors.Join(
		expect("the card's customer", s.card.Customer.ID, s.customer.ID),
		expect("the card's number", s.card.Card.Last4, "4242"),
	)
}

// order is what every payment here begins with.
func (s *shop) order(amount int64) *stripe.PaymentIntentCreateParams {
	return &stripe.PaymentIntentCreateParams{
		Amount:        stripe.Int64(amount),
		Currency:      stripe.String(stripe.CurrencyUSD),
		Customer:      stripe.String(s.customer.ID),
		PaymentMethod: stripe.String(s.card.ID),
	}
}

func (s *shop) create(ctx context.Context, params *stripe.PaymentIntentCreateParams) (*stripe.PaymentIntent, error) {
	payment, err := s.client.V1PaymentIntents.Create(ctx, params)
	if err == nil {
		s.payments = append(s.payments, payment.ID)
	}
	return payment, err
}

// pay creates a payment and confirms it later, as when a page stands between the two.
func (s *shop) pay(ctx context.Context) error {
	payment, err := s.create(ctx, s.order(2000))
	if err != nil {
		return err
	}
	if err := expect("the new payment", payment.Status, stripe.PaymentIntentStatusRequiresConfirmation); err != nil {
		return err
	}
	params := &stripe.PaymentIntentConfirmParams{}
	params.AddExpand("latest_charge.balance_transaction")
	payment, err = s.client.V1PaymentIntents.Confirm(ctx, payment.ID, params)
	if err != nil {
		return err
	}
	return errors.Join(
		expect("the confirmed payment", payment.Status, stripe.PaymentIntentStatusSucceeded),
		expect("what came in", payment.LatestCharge.BalanceTransaction.Amount, 2000),
	)
}

// payWithoutMoney gets an error of the type that stripe-go has for cards, with the payment it was about.
func (s *shop) payWithoutMoney(ctx context.Context) error {
	params := s.order(2000)
	params.PaymentMethod = stripe.String("pm_card_visa_chargeDeclinedInsufficientFunds")
	params.Confirm = stripe.Bool(true)
	_, err := s.create(ctx, params)
	var refusal *stripe.Error
	if !errors.As(err, &refusal) {
		return fmt.Errorf("the card was not declined: %w", err)
	}
	s.payments = append(s.payments, refusal.PaymentIntent.ID)
	var declined *stripe.CardError
	return errors.Join(
		expect("that it is a card's error", errors.As(refusal.Err, &declined), true),
		expect("the error's code", refusal.Code, stripe.ErrorCodeCardDeclined),
		expect("the decline code", refusal.DeclineCode, stripe.DeclineCodeInsufficientFunds),
		expect("the payment in the error", refusal.PaymentIntent.Status, stripe.PaymentIntentStatusRequiresPaymentMethod),
	)
}

// captureInPart holds an amount, takes less, and so releases the rest.
func (s *shop) captureInPart(ctx context.Context) error {
	params := s.order(5000)
	params.CaptureMethod = stripe.String(stripe.PaymentIntentCaptureMethodManual)
	params.Confirm = stripe.Bool(true)
	payment, err := s.create(ctx, params)
	if err != nil {
		return err
	}
	held := errors.Join(
		expect("the held payment", payment.Status, stripe.PaymentIntentStatusRequiresCapture),
		expect("what is held", payment.AmountCapturable, 5000),
	)
	payment, err = s.client.V1PaymentIntents.Capture(ctx, payment.ID, &stripe.PaymentIntentCaptureParams{AmountToCapture: stripe.Int64(3500)})
	if err != nil {
		return errors.Join(held, err)
	}
	return errors.Join(
		held,
		expect("the captured payment", payment.Status, stripe.PaymentIntentStatusSucceeded),
		expect("what was taken", payment.AmountReceived, 3500),
		expect("what is still held", payment.AmountCapturable, 0),
	)
}

func (s *shop) refundInPart(ctx context.Context) error {
	refund, err := s.client.V1Refunds.Create(ctx, &stripe.RefundCreateParams{
		PaymentIntent: stripe.String(s.payments[0]),
		Amount:        stripe.Int64(500),
		Reason:        stripe.String(stripe.RefundReasonRequestedByCustomer),
	})
	if err != nil {
		return err
	}
	return errors.Join(
		expect("the refund", refund.Status, stripe.RefundStatusSucceeded),
		expect("what went back", refund.Amount, 500),
	)
}

// listPayments reads pages of two, which stripe-go asks for as they are needed.
func (s *shop) listPayments(ctx context.Context) error {
	params := &stripe.PaymentIntentListParams{Customer: stripe.String(s.customer.ID)}
	params.Limit = stripe.Int64(2)
	var newestFirst []string
	for payment, err := range s.client.V1PaymentIntents.List(ctx, params).All(ctx) {
		if err != nil {
			return err
		}
		newestFirst = append(newestFirst, payment.ID)
	}
	if err := expect("how many payments are listed", len(newestFirst), len(s.payments)); err != nil {
		return err
	}
	for i, id := range newestFirst {
		if err := expect("a listed payment", id, s.payments[len(s.payments)-1-i]); err != nil {
			return err
		}
	}
	return nil
}

// payOnceUnderOneKey sends one request twice, as after an answer that was lost.
func (s *shop) payOnceUnderOneKey(ctx context.Context) error {
	params := s.order(700)
	params.Confirm = stripe.Bool(true)
	params.SetIdempotencyKey("order-" + s.customer.ID)
	first, err := s.create(ctx, params)
	if err != nil {
		return err
	}
	again, err := s.client.V1PaymentIntents.Create(ctx, params)
	if err != nil {
		return err
	}
	return errors.Join(
		expect("the payment of the repetition", again.ID, first.ID),
		expect("that the first was no repetition", first.LastResponse.Header.Get("Idempotent-Replayed"), ""),
		expect("that the second was one", again.LastResponse.Header.Get("Idempotent-Replayed"), "true"),
	)
}

// receiveEvents waits until every event that Tap lists has arrived.
func (s *shop) receiveEvents(ctx context.Context) error {
	params := &stripe.EventListParams{}
	params.Limit = stripe.Int64(5)
	var listed []string
	types := map[stripe.EventType]bool{}
	for event, err := range s.client.V1Events.List(ctx, params).All(ctx) {
		if err != nil {
			return err
		}
		listed = append(listed, event.ID)
		types[event.Type] = true
	}
	for _, told := range []stripe.EventType{
		stripe.EventTypeCustomerCreated,
		stripe.EventTypePaymentMethodAttached,
		stripe.EventTypePaymentIntentCreated,
		stripe.EventTypePaymentIntentSucceeded,
		stripe.EventTypePaymentIntentPaymentFailed,
		stripe.EventTypePaymentIntentAmountCapturableUpdated,
		stripe.EventTypeChargeSucceeded,
		stripe.EventTypeChargeFailed,
		stripe.EventTypeChargeCaptured,
		stripe.EventTypeChargeRefunded,
		stripe.EventTypeRefundCreated,
	} {
		if err := expect("that there is "+string(told), types[told], true); err != nil {
			return err
		}
	}
	return s.receiver.wait(ctx, listed)
}

func expect[T comparable](what string, is, want T) error {
	if is != want {
		return fmt.Errorf("%s: %v, expected %v", what, is, want)
	}
	return nil
}
