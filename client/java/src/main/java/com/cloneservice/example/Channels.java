package com.cloneservice.example;

import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import io.grpc.ManagedChannelBuilder;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Reader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** Channels to CloneService that carry the retry policy that all languages share. */
public final class Channels {
  // gRPC wants numbers as Double, which is what Gson makes of them in a Map.
  private static final Map<String, ?> SERVICE_CONFIG = read("/service_config.json");

  private Channels() {}

  /**
   * A channel that repeats what failed with UNAVAILABLE, with the same message and so with the same request_id: the
   * service charges once, however often it is asked. Say how it is secured: {@code usePlaintext()} through the sidecar
   * of a mesh.
   */
  public static ManagedChannelBuilder<?> to(String target) {
    return ManagedChannelBuilder.forTarget(target).defaultServiceConfig(SERVICE_CONFIG).enableRetry();
  }

  private static Map<String, ?> read(String resource) {
    try (Reader text = new InputStreamReader(Channels.class.getResourceAsStream(resource), StandardCharsets.UTF_8)) {
      return new Gson().fromJson(text, new TypeToken<Map<String, ?>>() {}.getType());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
