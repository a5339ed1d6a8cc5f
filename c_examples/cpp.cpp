/* The same in C++17: mgos_mqtt.hpp. Connections free themselves, callbacks are lambdas, errors are exceptions, and none
 * leaves a callback.
 *
 *   c++ -std=c++17 cpp.cpp $(pkg-config --cflags --libs mgos_mqtt) -o cpp
 *   ./cpp 127.0.0.1:1883
 *
 * Expected output:
 *   refused: a topic name must be 1 to 65535 bytes long and without wildcards
 *   connected
 *   examples/cpp/1 says one
 *   a callback threw: enough of two
 *   examples/cpp/3 says three
 *   3 of 3 delivered
 *   offline
 *   freed with the connection
 */
#include <chrono>
#include <iostream>
#include <memory>
#include <mgos_mqtt.hpp>

namespace mqtt = mgos::mqtt;
using namespace std::chrono_literals;

template <typename Condition>
static bool poll_until(Condition condition) {
  auto end = std::chrono::steady_clock::now() + 10s;
  while (!condition() && std::chrono::steady_clock::now() < end) mgos_mqtt_loop_poll(nullptr, 50);
  return condition();
}

struct Freed {
  ~Freed() {
    std::cout << "freed with the connection\n";
  }
};

static int run(const char *server) {
  int received = 0, delivered = 0;
  bool offline = false;
  mqtt::Options options(server);
  mqtt::Connection first(options.get());
  mqtt::Connection c = std::move(first); /* callbacks do not mind */

  mqtt::on_exception() = [](std::exception_ptr thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception &e) {
      std::cout << "a callback threw: " << e.what() << '\n';
    }
  };
  try {
    c.publish("not/#/a/topic", "");
  } catch (const mqtt::Error &e) {
    std::cout << "refused: " << mgos_mqtt_strerror(e.code()) << '\n';
  }
  c.on_connect([](int error) { std::cout << (error == 0 ? "connected" : mgos_mqtt_strerror(error)) << '\n'; });
  c.on_offline([&](int) {
    std::cout << "offline\n";
    offline = true;
  });
  c.subscribe("examples/cpp/+", 1, [&received, freed = std::make_shared<Freed>()](const mqtt::Message &m) {
    received++;
    if (m.payload == "two") throw std::runtime_error("enough of two");
    std::cout << m.topic << " says " << m.payload << '\n';
  });
  c.connect(10s);
  int number = 1;
  for (const char *text : {"one", "two", "three"}) {
    c.publish("examples/cpp/" + std::to_string(number++), text, 1, false, [&](const mqtt::Outcome &how) { delivered += how ? 1 : 0; });
  }
  poll_until([&] { return received == 3 && delivered == 3; });
  std::cout << delivered << " of 3 delivered\n";
  c.disconnect();
  return poll_until([&] { return offline; }) ? 0 : 1;
}

int main(int argc, char **argv) {
  try {
    return run(argc > 1 ? argv[1] : "127.0.0.1:1883");
  } catch (const std::exception &e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
