package sdktest;

import com.stripe.exception.ApiConnectionException;
import com.stripe.net.HttpHeaders;
import com.stripe.net.StripeRequest;
import com.stripe.net.StripeResponse;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.List;
import java.util.Set;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;

/** An HTTP client for Stripe's SDK that negotiates HTTP/2, which the SDK's own one does not. */
final class Http2Client extends com.stripe.net.HttpClient {
  private static final Set<String> CONNECTION_ONLY = Set.of("connection", "host", "content-length");
  private final HttpClient http;
  volatile HttpClient.Version spoken;

  Http2Client(String authority) throws IOException, GeneralSecurityException {
    http = HttpClient.newBuilder().sslContext(trusting(authority)).build();
  }

  @Override
  public StripeResponse request(StripeRequest asked) throws ApiConnectionException {
    var content = asked.content();
    var body =
        content == null
            ? HttpRequest.BodyPublishers.noBody()
            : HttpRequest.BodyPublishers.ofByteArray(content.byteArrayContent());
    var request = HttpRequest.newBuilder(URI.create(asked.url().toString())).method(asked.method().name(), body);
    if (content != null) {
      request.header("Content-Type", content.contentType());
    }
    asked.headers().map().forEach((name, values) -> add(request, name, values));
    request.header("User-Agent", buildUserAgentString(asked));
    try {
      var answer = http.send(request.build(), HttpResponse.BodyHandlers.ofString());
      spoken = answer.version();
      return new StripeResponse(answer.statusCode(), HttpHeaders.of(answer.headers().map()), answer.body());
    } catch (IOException e) {
      throw new ApiConnectionException(e.toString(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new ApiConnectionException(e.toString(), e);
    }
  }

  private static void add(HttpRequest.Builder request, String name, List<String> values) {
    if (!CONNECTION_ONLY.contains(name.toLowerCase())) {
      values.forEach(value -> request.header(name, value));
    }
  }

  private static SSLContext trusting(String authority) throws IOException, GeneralSecurityException {
    var context = SSLContext.getInstance("TLS");
    context.init(null, authority == null ? new TrustManager[] {new Anybody()} : trusted(Path.of(authority)), null);
    return context;
  }

  private static TrustManager[] trusted(Path authority) throws IOException, GeneralSecurityException {
    var store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null);
    try (InputStream pem = Files.newInputStream(authority)) {
      store.setCertificateEntry("double", CertificateFactory.getInstance("X.509").generateCertificate(pem));
    }
    var factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    factory.init(store);
    return factory.getTrustManagers();
  }

  /** stripe-mock's certificate is nobody's. */
  private static final class Anybody extends X509ExtendedTrustManager {
    @Override
    public void checkClientTrusted(java.security.cert.X509Certificate[] chain, String type, java.net.Socket socket) {}

    @Override
    public void checkServerTrusted(java.security.cert.X509Certificate[] chain, String type, java.net.Socket socket) {}

    @Override
    public void checkClientTrusted(
        java.security.cert.X509Certificate[] chain, String type, javax.net.ssl.SSLEngine engine) {}

    @Override
    public void checkServerTrusted(
        java.security.cert.X509Certificate[] chain, String type, javax.net.ssl.SSLEngine engine) {}

    @Override
    public void checkClientTrusted(java.security.cert.X509Certificate[] chain, String type) {}

    @Override
    public void checkServerTrusted(java.security.cert.X509Certificate[] chain, String type) {}

    @Override
    public java.security.cert.X509Certificate[] getAcceptedIssuers() {
      return new java.security.cert.X509Certificate[0];
    }
  }
}
