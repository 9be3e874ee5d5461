package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/stripe/stripe-go/v85"
	"github.com/stripe/stripe-go/v85/webhook"
)

// receiver is a merchant's webhook endpoint, on loopback.
type receiver struct {
	url      string
	secret   atomic.Value // the endpoint's, a string: known once the endpoint was created
	server   *http.Server
	received chan string // ids of events
	refused  chan error
}

// listen starts a receiver on a free port.
func listen() (*receiver, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{
		url:      fmt.Sprintf("http://%s/webhooks", listener.Addr()),
		received: make(chan string, 1000),
		refused:  make(chan error, 1000),
	}
	r.server = &http.Server{Handler: http.HandlerFunc(r.receive)}
	go r.server.Serve(listener)
	return r, nil
}

func (r *receiver) close() {
	r.server.Close()
}

func (r *receiver) verifyWith(secret string) {
	r.secret.Store(secret)
}

// receive verifies a delivery and reads the object in it. The answer tells Tap whether to deliver it again.
func (r *receiver) receive(response http.ResponseWriter, request *http.Request) {
	payload, err := io.ReadAll(request.Body)
	if err != nil {
		http.Error(response, err.Error(), http.StatusBadRequest)
		return
	}
	secret, _ := r.secret.Load().(string)
	event, err := webhook.ConstructEvent(payload, request.Header.Get("Stripe-Signature"), secret)
	if err == nil {
		err = readObject(event)
	}
	if err != nil {
		r.refused <- fmt.Errorf("a delivery was refused: %w", err)
		http.Error(response, err.Error(), http.StatusBadRequest)
		return
	}
	r.received <- event.ID
}

// readObject makes of an event's object what stripe-go has for its kind.
func readObject(event stripe.Event) error {
	var id string
	var err error
	switch kind := event.GetObjectValue("object"); kind {
	case "charge":
		var charge stripe.Charge
		err = json.Unmarshal(event.Data.Raw, &charge)
		id = charge.ID
	case "customer":
		var customer stripe.Customer
		err = json.Unmarshal(event.Data.Raw, &customer)
		id = customer.ID
	case "payment_intent":
		var payment stripe.PaymentIntent
		err = json.Unmarshal(event.Data.Raw, &payment)
		id = payment.ID
	case "payment_method":
		var method stripe.PaymentMethod
		err = json.Unmarshal(event.Data.Raw, &method)
		id = method.ID
	case "refund":
		var refund stripe.Refund
		err = json.Unmarshal(event.Data.Raw, &refund)
		id = refund.ID
	default:
		return fmt.Errorf("%s has an object of an unexpected kind, %q", event.Type, kind)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", event.Type, err)
	}
	return expect("the id of the object of "+string(event.Type), id, event.GetObjectValue("id"))
}

// wait returns when all of these events were received. An event may come twice.
func (r *receiver) wait(ctx context.Context, events []string) error {
	missing := map[string]bool{}
	for _, id := range events {
		missing[id] = true
	}
	for len(missing) > 0 {
		select {
		case id := <-r.received:
			delete(missing, id)
		case err := <-r.refused:
			return err
		case <-ctx.Done():
			return fmt.Errorf("%d of %d events were not received: %w", len(missing), len(events), ctx.Err())
		}
	}
	return nil
}
