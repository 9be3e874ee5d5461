import com.stripe.exception.SignatureVerificationException;
import com.stripe.model.Event;
import com.stripe.model.HasId;
import com.stripe.model.StripeObject;
import com.stripe.net.Webhook;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A merchant's webhook endpoint, on a free port of loopback. */
final class Receiver implements AutoCloseable {
  /** How long nothing may come: what never does, as an event that was lost, is to end some day. */
  private static final int SILENCE_MINUTES_MAX = 2;

  private final HttpServer server;
  private final BlockingQueue<Delivery> deliveries = new LinkedBlockingQueue<>();

  /** The endpoint's, known once it was created. */
  private volatile String secret = "";

  /** What came of a delivery: the id of its event, or why it was refused. */
  private record Delivery(String event, Throwable refusal) {}

  Receiver() throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/webhooks", this::receive);
    server.start();
  }

  String url() {
    return "http://127.0.0.1:" + server.getAddress().getPort() + "/webhooks";
  }

  void verifyWith(String secret) {
    this.secret = secret;
  }

  @Override
  public void close() {
    server.stop(0);
  }

  /** Verifies a delivery and reads the object in it. The answer tells Tap whether to deliver it again. */
  private void receive(HttpExchange exchange) throws IOException {
    String payload = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
    int status = 200;
    try {
      Event event = Webhook.constructEvent(payload, exchange.getRequestHeaders().getFirst("Stripe-Signature"), secret);
      readObject(event);
      deliveries.add(new Delivery(event.getId(), null));
    } catch (SignatureVerificationException | RuntimeException | AssertionError refusal) {
      deliveries.add(new Delivery(null, refusal));
      status = 400;
    }
    exchange.sendResponseHeaders(status, -1);
    exchange.close();
  }

  /** An event in a version that isn't stripe-java's own would have no object here. */
  private static void readObject(Event event) {
    StripeObject object =
        event
            .getDataObjectDeserializer()
            .getObject()
            .orElseThrow(() -> new AssertionError(event.getType() + " of " + event.getApiVersion() + " was not read"));
    if (!(object instanceof HasId read) || read.getId() == null) {
      throw new AssertionError(event.getType() + " has an object of an unexpected kind, " + object.getClass().getName());
    }
  }

  /** Returns when all of these events were received. An event may come twice. */
  void await(Set<String> events) throws InterruptedException {
    Set<String> missing = new HashSet<>(events);
    while (!missing.isEmpty()) {
      Delivery delivery = deliveries.poll(SILENCE_MINUTES_MAX, TimeUnit.MINUTES);
      if (delivery == null) {
        throw new AssertionError(missing.size() + " of " + events.size() + " events were not received");
      }
      if (delivery.refusal() != null) {
        throw new AssertionError("A delivery was refused", delivery.refusal());
      }
      missing.remove(delivery.event());
    }
  }
}
