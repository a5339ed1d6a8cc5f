/* What mgos_mqtt.hpp adds to the C functions: how long callbacks live, and what an error says. Says what is wrong, and ends
 * with 1 then. */
#include <atomic>
#include <chrono>
#include <iostream>
#include <mgos_mqtt.hpp>
#include <string>
#include <thread>

namespace mqtt = mgos::mqtt;
using namespace std::chrono_literals;

static const char nobody[] = "127.0.0.1:1"; /* nothing listens there */
static int failed;

static void check(bool right, const std::string &what) {
  if (right) return;
  std::cerr << what << '\n';
  failed = 1;
}

/* A callback runs on the loop's thread, and uses what is gone when the destructor has returned. */
static void the_destructor_waits_for_a_callback() {
  mgos_mqtt_loop *loop = mgos_mqtt_loop_create();
  std::atomic<bool> entered{false}, inside{false};
  check(loop != nullptr && mgos_mqtt_loop_start(loop) == 0, "no loop with a thread");
  {
    mqtt::Options options(nobody);
    mqtt::Connection c(options.get(), loop);
    c.on_connect([&](int) {
      inside = true;
      entered = true;
      std::this_thread::sleep_for(300ms); /* for a destructor that does not wait to be the first */
      inside = false;
    });
    c.connect();
    while (!entered) std::this_thread::yield();
  }
  check(!inside, "the destructor returned while a callback ran");
  check(mgos_mqtt_loop_free(loop) == 0, "the loop is not freed");
}

/* Inside a callback it does not: that would be for ever. */
static void a_callback_may_end_its_connection() {
  mqtt::Options options(nobody);
  auto c = std::make_unique<mqtt::Connection>(options.get());
  bool called = false;
  c->on_connect([&](int) {
    called = true;
    c.reset();
  });
  c->connect();
  while (!called) mgos_mqtt_loop_poll(nullptr, 50);
  check(c == nullptr, "the connection is there still");
}

static void an_error_says_what_this_call_met() {
  mqtt::Options options(nobody);
  mqtt::Connection c(options.get());
  int code = 0;
  std::string text;
  auto connect = [&] {
    try {
      c.connect(10s);
    } catch (const mqtt::Error &e) {
      code = e.code();
      text = e.what();
    }
  };
  connect();
  check(code == MGOS_MQTT_CONNECT_REFUSED && text.find(nobody) != std::string::npos, "the link's sentence has no address: " + text);
  code = 0;
  c.on_connect([&](int) {
    if (code == 0) connect();
  });
  c.connect();
  while (code == 0) mgos_mqtt_loop_poll(nullptr, 50);
  check(code == MGOS_MQTT_BUSY && text.find(nobody) == std::string::npos, "inside a callback it says: " + text);
}

int main() {
  the_destructor_waits_for_a_callback();
  a_callback_may_end_its_connection();
  an_error_says_what_this_call_met();
  return failed;
}
