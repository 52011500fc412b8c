package sdktest;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import com.stripe.Stripe;
import com.stripe.StripeClient;
import com.stripe.exception.ApiConnectionException;
import com.stripe.exception.ApiException;
import com.stripe.exception.AuthenticationException;
import com.stripe.exception.CardException;
import com.stripe.exception.IdempotencyException;
import com.stripe.exception.InvalidRequestException;
import com.stripe.exception.PermissionException;
import com.stripe.exception.RateLimitException;
import com.stripe.exception.SignatureVerificationException;
import com.stripe.exception.StripeException;
import com.stripe.model.Customer;
import com.stripe.model.PaymentIntent;
import com.stripe.net.ApiResource;
import com.stripe.net.RequestOptions;
import com.stripe.net.Webhook;
import com.stripe.param.ChargeCreateParams;
import com.stripe.param.CustomerCreateParams;
import com.stripe.param.CustomerListParams;
import com.stripe.param.CustomerUpdateParams;
import com.stripe.param.PaymentIntentCreateParams;
import com.stripe.param.PaymentMethodAttachParams;
import com.stripe.param.PaymentMethodCreateParams;
import com.stripe.param.RefundCreateParams;
import com.stripe.param.SourceCreateParams;
import com.stripe.param.TokenCreateParams;
import com.stripe.param.WebhookEndpointCreateParams;
import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.http.HttpClient;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** Stripe's SDK for Java against a double of Stripe. run.py starts the double and says by environment where it is. */
class SdkTest {
  private static final String BASE = System.getenv("STRIPE_BASE");
  private static final String KEY = System.getenv("STRIPE_KEY");
  private static final String SELLER = System.getenv("STRIPE_SELLER");
  private static final RequestOptions THERE = RequestOptions.builder().setStripeAccount(SELLER).build();
  private static final Http2Client HTTP2 = http2();
  private static final StripeClient CLIENT = connect(KEY, 0);

  private static Http2Client http2() {
    Stripe.enableTelemetry = false;
    try {
      return BASE.startsWith("https:") ? new Http2Client(System.getenv("STRIPE_CA")) : null;
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }

  private static StripeClient connect(String key, int retries) {
    var builder = StripeClient.builder().setApiKey(key).setApiBase(BASE).setMaxNetworkRetries(retries);
    return HTTP2 == null ? builder.build() : builder.setHttpClient(HTTP2).build();
  }

  private static void needsState() {
    assumeFalse(System.getenv().containsKey("STRIPE_STATELESS"), "needs a double that remembers");
  }

  private static Customer customer(RequestOptions options) throws StripeException {
    return CLIENT.v1().customers().create(CustomerCreateParams.builder().setEmail("ada@example.com").build(), options);
  }

  private static PaymentIntentCreateParams.Builder usd(long amount) {
    return PaymentIntentCreateParams.builder().setAmount(amount).setCurrency("usd");
  }

  private static PaymentIntentCreateParams.AutomaticPaymentMethods noRedirects() {
    return PaymentIntentCreateParams.AutomaticPaymentMethods.builder()
        .setEnabled(true)
        .setAllowRedirects(PaymentIntentCreateParams.AutomaticPaymentMethods.AllowRedirects.NEVER)
        .build();
  }

  /** Installs a fault in the double. */
  private static void fault(String fault) throws StripeException {
    CLIENT.rawRequest(ApiResource.RequestMethod.POST, "/_fake/faults", fault, null);
  }

  @Test
  void examples() throws StripeException {
    var customers = CLIENT.v1().customers();
    var customer = customer(null);
    assertEquals("customer", customer.getObject());
    assertEquals("ada@example.com", customer.getEmail());
    assertEquals(customer.getId(), customers.retrieve(customer.getId()).getId());
    var update = CustomerUpdateParams.builder().setDescription("x").build();
    assertEquals("x", customers.update(customer.getId(), update).getDescription());
    var intent = CLIENT.v1().paymentIntents().create(usd(1999).build(), THERE);
    assertEquals(List.of("payment_intent", 1999L), List.of(intent.getObject(), intent.getAmount()));
    assertTrue(customers.list().autoPagingIterable().iterator().hasNext());
    var unknown = RefundCreateParams.builder().putExtraParam("reason", "no_such_reason").build();
    assertThrows(InvalidRequestException.class, () -> CLIENT.v1().refunds().create(unknown));
    assertTrue(customers.delete(customer.getId()).getDeleted());
    if (HTTP2 != null) {
      assertEquals(HttpClient.Version.HTTP_2, HTTP2.spoken);
    }
  }

  @Test
  void paymentMethodFlow() throws StripeException {
    needsState();
    var customer = customer(null);
    var methods = CLIENT.v1().paymentMethods();
    var attach = PaymentMethodAttachParams.builder().setCustomer(customer.getId()).build();
    var saved = methods.attach("pm_card_visa", attach);
    var clone =
        methods.create(
            PaymentMethodCreateParams.builder().setCustomer(customer.getId()).setPaymentMethod(saved.getId()).build(),
            THERE);
    var theirs = CustomerCreateParams.builder().setPaymentMethod(clone.getId()).build();
    var paid =
        CLIENT
            .v1()
            .paymentIntents()
            .create(
                usd(1999)
                    .setCustomer(CLIENT.v1().customers().create(theirs, THERE).getId())
                    .setPaymentMethod(clone.getId())
                    .setApplicationFeeAmount(199L)
                    .setAutomaticPaymentMethods(noRedirects())
                    .setConfirm(true)
                    .build(),
                THERE);
    assertNotEquals(saved.getId(), clone.getId());
    assertEquals("succeeded", paid.getStatus());
  }

  @Test
  void tokenFlow() throws StripeException {
    needsState();
    var saved = CustomerCreateParams.builder().setSource("tok_visa").build();
    var customer = CLIENT.v1().customers().create(saved);
    var token =
        CLIENT.v1().tokens().create(TokenCreateParams.builder().setCustomer(customer.getId()).build(), THERE);
    var charge =
        ChargeCreateParams.builder().setAmount(900L).setCurrency("usd").setSource(token.getId()).build();
    assertTrue(CLIENT.v1().charges().create(charge, THERE).getPaid());
    var again = assertThrows(InvalidRequestException.class, () -> CLIENT.v1().charges().create(charge, THERE));
    assertEquals("token_already_used", again.getCode());
  }

  @Test
  void sourceFlow() throws StripeException {
    needsState();
    var sources = CLIENT.v1().sources();
    var source = sources.create(SourceCreateParams.builder().setType("card").setToken("tok_visa").build());
    var customer =
        CLIENT.v1().customers().create(CustomerCreateParams.builder().setSource(source.getId()).build());
    var clone =
        sources.create(
            SourceCreateParams.builder().setCustomer(customer.getId()).setOriginalSource(source.getId()).build(),
            THERE);
    var theirs =
        CLIENT.v1().customers().create(CustomerCreateParams.builder().setSource(clone.getId()).build(), THERE);
    var paid =
        CLIENT
            .v1()
            .charges()
            .create(
                ChargeCreateParams.builder().setAmount(900L).setCurrency("usd").setCustomer(theirs.getId()).build(),
                THERE);
    assertTrue(paid.getPaid());
    assertEquals(clone.getId(), paid.getSource().getId());
  }

  @Test
  void pagination() throws StripeException {
    needsState();
    Set<String> made = new HashSet<>();
    for (int i = 0; i < 7; i++) {
      made.add(customer(THERE).getId());
    }
    List<String> listed = new ArrayList<>();
    var page = CLIENT.v1().customers().list(CustomerListParams.builder().setLimit(3L).build(), THERE);
    for (var found : page.autoPagingIterable()) {
      listed.add(found.getId());
    }
    assertEquals(new HashSet<>(listed).size(), listed.size());
    assertTrue(listed.containsAll(made));
  }

  @Test
  void errors() throws StripeException {
    needsState();
    var customer = customer(null);
    var customers = CLIENT.v1().customers();
    var intents = CLIENT.v1().paymentIntents();
    var attach = PaymentMethodAttachParams.builder().setCustomer(customer.getId()).build();
    var declining = CLIENT.v1().paymentMethods().attach("pm_card_chargeCustomerFail", attach);
    var pay =
        usd(1999)
            .setCustomer(customer.getId())
            .setPaymentMethod(declining.getId())
            .setAutomaticPaymentMethods(noRedirects())
            .setConfirm(true)
            .build();
    var declined = assertThrows(CardException.class, () -> intents.create(pay));
    assertEquals("generic_decline", declined.getDeclineCode());
    assertEquals("requires_payment_method", declined.getStripeError().getPaymentIntent().getStatus());
    assertThrows(InvalidRequestException.class, () -> customers.retrieve("cus_nobody"));
    assertThrows(AuthenticationException.class, () -> connect("sk_test_invalid", 0).v1().customers().create());
    var stranger = RequestOptions.builder().setStripeAccount("acct_1Stranger").build();
    assertThrows(PermissionException.class, () -> customer(stranger));
    fault("{\"match\": {\"path\": \"/v1/customers\"}, \"act\": {\"kind\": \"status\", \"status\": 500}}");
    assertThrows(ApiException.class, () -> customer(null));
    fault("{\"match\": {\"path\": \"/v1/customers\"}, \"act\": {\"kind\": \"status\", \"status\": 429}}");
    assertThrows(RateLimitException.class, () -> customer(null));
    // Java tries a connection again that is closed before it answers, below the SDK: reset it in the answer instead.
    fault("{\"match\": {\"path\": \"/v1/customers\"}, \"act\": \"reset_mid_body\"}");
    assertThrows(ApiConnectionException.class, () -> customer(null));
    var idempotent = RequestOptions.builder().setIdempotencyKey("java-" + KEY).build();
    intents.create(usd(100).build(), idempotent);
    assertThrows(IdempotencyException.class, () -> intents.create(usd(200).build(), idempotent));
  }

  @Test
  void lostAnswers() throws StripeException {
    needsState();
    fault(
        "{\"match\": {\"method\": \"POST\", \"path\": \"/v1/payment_intents\"}, \"act\": \"commit_then_drop\","
            + " \"times\": 2}");
    var made = persistently(usd(4242).build());
    List<String> found = new ArrayList<>();
    for (PaymentIntent intent : CLIENT.v1().paymentIntents().list(null, THERE).autoPagingIterable()) {
      if (intent.getAmount() == 4242) {
        found.add(intent.getId());
      }
    }
    assertEquals(List.of(made.getId()), found);
    assertEquals("true", made.getLastResponse().headers().firstValue("Idempotent-Replayed").orElse(""));
  }

  /** Stripe's SDK for Java repeats what could not be sent, not what got no answer: that is left to its caller. */
  private static PaymentIntent persistently(PaymentIntentCreateParams params) throws StripeException {
    var key = RequestOptions.builder().setStripeAccount(SELLER).setIdempotencyKey("lost-" + KEY).build();
    for (int attempt = 1; ; attempt++) {
      try {
        return CLIENT.v1().paymentIntents().create(params, key);
      } catch (ApiConnectionException lost) {
        if (attempt == 3) {
          throw lost;
        }
      }
    }
  }

  @Test
  void webhook() throws Exception {
    needsState();
    record Delivery(String body, String signature) {}
    BlockingQueue<Delivery> heard = new LinkedBlockingQueue<>();
    var listener = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    listener.createContext(
        "/",
        exchange -> {
          var body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
          heard.add(new Delivery(body, exchange.getRequestHeaders().getFirst("Stripe-Signature")));
          exchange.sendResponseHeaders(200, -1);
          exchange.close();
        });
    listener.start();
    try {
      var endpoint =
          CLIENT
              .v1()
              .webhookEndpoints()
              .create(
                  WebhookEndpointCreateParams.builder()
                      .setUrl("http://127.0.0.1:" + listener.getAddress().getPort() + "/")
                      .addEnabledEvent(WebhookEndpointCreateParams.EnabledEvent.CUSTOMER__CREATED)
                      .setConnect(true)
                      .putExtraParam("api_version", Stripe.API_VERSION)
                      .build());
      var customer = customer(THERE);
      var sent = heard.poll(20, TimeUnit.SECONDS);
      var event = Webhook.constructEvent(sent.body(), sent.signature(), endpoint.getSecret());
      assertEquals(List.of("customer.created", SELLER), List.of(event.getType(), event.getAccount()));
      var object = (Customer) event.getDataObjectDeserializer().getObject().orElseThrow();
      assertEquals(customer.getId(), object.getId());
      assertThrows(
          SignatureVerificationException.class,
          () -> Webhook.constructEvent(sent.body() + " ", sent.signature(), endpoint.getSecret()));
      CLIENT.v1().webhookEndpoints().delete(endpoint.getId());
      assertFalse(endpoint.getSecret().isEmpty());
    } finally {
      listener.stop(0);
    }
  }
}
