import com.stripe.Stripe;
import com.stripe.StripeClient;
import com.stripe.exception.CardException;
import com.stripe.exception.StripeException;
import com.stripe.model.Customer;
import com.stripe.model.Event;
import com.stripe.model.PaymentIntent;
import com.stripe.model.PaymentMethod;
import com.stripe.model.Refund;
import com.stripe.model.WebhookEndpoint;
import com.stripe.net.RequestOptions;
import com.stripe.param.CustomerCreateParams;
import com.stripe.param.EventListParams;
import com.stripe.param.PaymentIntentCaptureParams;
import com.stripe.param.PaymentIntentConfirmParams;
import com.stripe.param.PaymentIntentCreateParams;
import com.stripe.param.PaymentIntentListParams;
import com.stripe.param.PaymentMethodAttachParams;
import com.stripe.param.RefundCreateParams;
import com.stripe.param.WebhookEndpointCreateParams;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/**
 * A merchant's payments with stripe-java: from the customer to the refund, and the events that tell of them.
 *
 * <p>Tap's address and a secret key are in TAP_BASE_URL and TAP_API_KEY. Each step prints one line; the first that fails ends the program.
 */
final class Payments {
  /** What a release of stripe-java reads without reservation: events in its own version. */
  private static final WebhookEndpointCreateParams.ApiVersion OWN_VERSION = ownVersion();

  private final StripeClient client;
  private final Receiver receiver;
  private Customer customer;
  private PaymentMethod card;

  /** The ids of all payment intents, oldest first. */
  private final List<String> payments = new ArrayList<>();

  private Payments(StripeClient client, Receiver receiver) {
    this.client = client;
    this.receiver = receiver;
  }

  public static void main(String[] arguments) throws Exception {
    System.out.println("stripe-java " + Stripe.VERSION + " for API version " + Stripe.API_VERSION);
    // The address is all that makes it a client of Tap.
    StripeClient client =
        StripeClient.builder()
            .setApiKey(System.getenv("TAP_API_KEY"))
            .setApiBase(System.getenv("TAP_BASE_URL"))
            .build();
    try (Receiver receiver = new Receiver()) {
      new Payments(client, receiver).run();
    }
  }

  private void run() throws Exception {
    step("endpoint", this::createEndpoint);
    step("customer", this::createCustomer);
    step("card", this::attachCard);
    step("payment", this::pay);
    step("decline", this::payWithoutMoney);
    step("capture", this::captureInPart);
    step("refund", this::refundInPart);
    step("list", this::listPayments);
    step("replay", this::payOnceUnderOneKey);
    step("events", this::receiveEvents);
  }

  private interface Step {
    void take() throws Exception;
  }

  private static void step(String name, Step step) throws Exception {
    step.take();
    System.out.println(name + " ok");
  }

  private void createEndpoint() throws StripeException {
    WebhookEndpoint endpoint =
        client.v1().webhookEndpoints()
            .create(
                WebhookEndpointCreateParams.builder()
                    .setUrl(receiver.url())
                    .addEnabledEvent(WebhookEndpointCreateParams.EnabledEvent.ALL)
                    .setApiVersion(OWN_VERSION)
                    .build());
    receiver.verifyWith(endpoint.getSecret());
    expect("the endpoint's version", endpoint.getApiVersion(), Stripe.API_VERSION);
  }

  private void createCustomer() throws StripeException {
    customer =
        client.v1().customers()
            .create(
                CustomerCreateParams.builder()
                    .setEmail("ada@example.com")
                    .setName("Ada Lovelace")
                    .putMetadata("account", "1815")
                    .build());
    expect("the customer's metadata", customer.getMetadata().get("account"), "1815");
  }

  private void attachCard() throws StripeException {
    card =
        client.v1().paymentMethods()
            .attach("pm_card_visa", PaymentMethodAttachParams.builder().setCustomer(customer.getId()).build());
    expect("the card's customer", card.getCustomer(), customer.getId());
    expect("the card's number", card.getCard().getLast4(), "4242");
  }

  /** What every payment here begins with. */
  private PaymentIntentCreateParams.Builder order(long amount) {
    return PaymentIntentCreateParams.builder()
        .setAmount(amount)
        .setCurrency("usd")
        .setCustomer(customer.getId())
        .setPaymentMethod(card.getId());
  }

  private PaymentIntent create(PaymentIntentCreateParams params) throws StripeException {
    PaymentIntent payment = client.v1().paymentIntents().create(params);
    payments.add(payment.getId());
    return payment;
  }

  /** Creates a payment and confirms it later, as when a page stands between the two. */
  private void pay() throws StripeException {
    PaymentIntent payment = create(order(2000).build());
    expect("the new payment", payment.getStatus(), "requires_confirmation");
    payment =
        client.v1().paymentIntents()
            .confirm(
                payment.getId(),
                PaymentIntentConfirmParams.builder().addExpand("latest_charge.balance_transaction").build());
    expect("the confirmed payment", payment.getStatus(), "succeeded");
    expect("what came in", payment.getLatestChargeObject().getBalanceTransactionObject().getAmount(), 2000L);
  }

  /** Gets an exception of the type that stripe-java has for cards, with the payment it was about. */
  private void payWithoutMoney() throws StripeException {
    CardException declined;
    try {
      create(order(2000).setPaymentMethod("pm_card_visa_chargeDeclinedInsufficientFunds").setConfirm(true).build());
      throw new AssertionError("The card was not declined");
    } catch (CardException exception) {
      declined = exception;
    }
    PaymentIntent payment = declined.getStripeError().getPaymentIntent();
    payments.add(payment.getId());
    expect("the error's code", declined.getCode(), "card_declined");
    expect("the decline code", declined.getDeclineCode(), "insufficient_funds");
    expect("the payment in the error", payment.getStatus(), "requires_payment_method");
  }

  /** Holds an amount, takes less, and so releases the rest. */
  private void captureInPart() throws StripeException {
    PaymentIntent payment =
        create(
            order(5000)
                .setCaptureMethod(PaymentIntentCreateParams.CaptureMethod.MANUAL)
                .setConfirm(true)
                .build());
    expect("the held payment", payment.getStatus(), "requires_capture");
    expect("what is held", payment.getAmountCapturable(), 5000L);
    payment =
        client.v1().paymentIntents()
            .capture(payment.getId(), PaymentIntentCaptureParams.builder().setAmountToCapture(3500L).build());
    expect("the captured payment", payment.getStatus(), "succeeded");
    expect("what was taken", payment.getAmountReceived(), 3500L);
    expect("what is still held", payment.getAmountCapturable(), 0L);
  }

  private void refundInPart() throws StripeException {
    Refund refund =
        client.v1().refunds()
            .create(
                RefundCreateParams.builder()
                    .setPaymentIntent(payments.get(0))
                    .setAmount(500L)
                    .setReason(RefundCreateParams.Reason.REQUESTED_BY_CUSTOMER)
                    .build());
    expect("the refund", refund.getStatus(), "succeeded");
    expect("what went back", refund.getAmount(), 500L);
  }

  /** Reads pages of two, which stripe-java asks for as they are needed. */
  private void listPayments() throws StripeException {
    PaymentIntentListParams params =
        PaymentIntentListParams.builder().setCustomer(customer.getId()).setLimit(2L).build();
    List<String> listed = new ArrayList<>();
    for (PaymentIntent payment : client.v1().paymentIntents().list(params).autoPagingIterable()) {
      listed.add(payment.getId());
    }
    Collections.reverse(listed); // the newest come first
    expect("the listed payments", listed, payments);
  }

  /** Sends one request twice, as after an answer that was lost. */
  private void payOnceUnderOneKey() throws StripeException {
    PaymentIntentCreateParams params = order(700).setConfirm(true).build();
    RequestOptions options = RequestOptions.builder().setIdempotencyKey("order-" + customer.getId()).build();
    PaymentIntent first = client.v1().paymentIntents().create(params, options);
    PaymentIntent again = client.v1().paymentIntents().create(params, options);
    payments.add(first.getId());
    expect("the payment of the repetition", again.getId(), first.getId());
    expect("that the first was no repetition", replayed(first), Optional.empty());
    expect("that the second was one", replayed(again), Optional.of("true"));
  }

  private static Optional<String> replayed(PaymentIntent payment) {
    return payment.getLastResponse().headers().firstValue("Idempotent-Replayed");
  }

  /** Waits until every event that Tap lists has arrived. */
  private void receiveEvents() throws Exception {
    Set<String> listed = new HashSet<>();
    Set<String> types = new HashSet<>();
    for (Event event : client.v1().events().list(EventListParams.builder().setLimit(5L).build()).autoPagingIterable()) {
      listed.add(event.getId());
      types.add(event.getType());
    }
    for (String told :
        List.of(
            "customer.created",
            "payment_method.attached",
            "payment_intent.created",
            "payment_intent.succeeded",
            "payment_intent.payment_failed",
            "payment_intent.amount_capturable_updated",
            "charge.succeeded",
            "charge.failed",
            "charge.captured",
            "charge.refunded",
            "refund.created")) {
      expect("that there is " + told, types.contains(told), true);
    }
    receiver.await(listed);
  }

  private static WebhookEndpointCreateParams.ApiVersion ownVersion() {
    for (WebhookEndpointCreateParams.ApiVersion version : WebhookEndpointCreateParams.ApiVersion.values()) {
      if (version.getValue().equals(Stripe.API_VERSION)) {
        return version;
      }
    }
    throw new AssertionError("stripe-java doesn't name its own version, " + Stripe.API_VERSION);
  }

  static void expect(String what, Object is, Object wanted) {
    if (!Objects.equals(is, wanted)) {
      throw new AssertionError(what + ": " + is + ", expected " + wanted);
    }
  }
}
