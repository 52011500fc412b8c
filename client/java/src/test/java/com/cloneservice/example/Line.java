package com.cloneservice.example;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** A line to a server that can be cut. */
final class Line implements AutoCloseable {
  private final ServerSocket listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
  private final Set<Socket> open = ConcurrentHashMap.newKeySet();

  Line(String target) throws IOException {
    var address = target.split(":");
    daemon(
        () -> {
          while (true) {
            var near = listener.accept();
            var far = new Socket(address[0], Integer.parseInt(address[1]));
            open.add(near);
            open.add(far);
            daemon(() -> near.getInputStream().transferTo(far.getOutputStream()), near, far);
            daemon(() -> far.getInputStream().transferTo(near.getOutputStream()), near, far);
          }
        });
  }

  String target() {
    return "127.0.0.1:" + listener.getLocalPort();
  }

  /** Breaks the connections; new ones can be made. */
  void cut() throws IOException {
    for (var socket : open) {
      socket.close();
    }
  }

  @Override
  public void close() throws IOException {
    listener.close();
    cut();
  }

  private interface Work {
    void run() throws IOException;
  }

  private static void daemon(Work work, Socket... closedAfter) {
    var thread =
        new Thread(
            () -> {
              try {
                work.run();
              } catch (IOException cut) {
                // what this line is for
              } finally {
                for (var socket : closedAfter) {
                  try {
                    socket.close();
                  } catch (IOException ignored) {
                    // closed already
                  }
                }
              }
            });
    thread.setDaemon(true);
    thread.start();
  }
}
