package com.cloneservice.example;

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** A running {@code cloneservice-server dev} and the double behind it. */
final class DevServer implements AutoCloseable {
  record Ready(
      String target,
      String stripe,
      String stripe_api_key,
      Map<String, String> accounts,
      Map<String, String> customers) {}

  private final Process process;
  private final HttpClient http = HttpClient.newHttpClient();
  final Ready ready;

  DevServer() throws IOException {
    var command = System.getenv().getOrDefault("CLONESERVICE_SERVER", "cloneservice-server");
    process = new ProcessBuilder(command, "dev").redirectError(ProcessBuilder.Redirect.INHERIT).start();
    var output = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
    ready = new Gson().fromJson(output.readLine(), Ready.class); // one line, when it takes calls
  }

  JsonObject stripe(String path, String account, Map<String, ?> body) throws IOException, InterruptedException {
    var request = HttpRequest.newBuilder(URI.create(ready.stripe() + path));
    request.header("Authorization", "Bearer " + ready.stripe_api_key());
    if (account != null) {
      request.header("Stripe-Account", account);
    }
    if (body != null) {
      request.header("Content-Type", "application/json");
      request.POST(HttpRequest.BodyPublishers.ofString(new Gson().toJson(body)));
    }
    var answer = http.send(request.build(), HttpResponse.BodyHandlers.ofString());
    if (answer.statusCode() >= 300) {
      throw new IOException(path + " answered " + answer.statusCode() + ": " + answer.body());
    }
    return new Gson().fromJson(answer.body(), JsonObject.class);
  }

  /** Makes the next calls of a path go wrong. */
  void fault(String path, Map<String, ?> how) throws IOException, InterruptedException {
    var fault = new java.util.HashMap<String, Object>(how);
    fault.put("match", Map.of("method", "POST", "path", path));
    stripe("/_fake/faults", null, fault);
  }

  /** How many charges of an amount Stripe has on an account. */
  long charged(String account, long amount) throws IOException, InterruptedException {
    var charges = stripe("/v1/charges?limit=100", account, null).getAsJsonArray("data");
    return charges.asList().stream().filter(c -> c.getAsJsonObject().get("amount").getAsLong() == amount).count();
  }

  @Override
  public void close() throws IOException, InterruptedException {
    process.getOutputStream().close(); // the server stops
    process.waitFor();
  }
}
