/*
 * The library for C++17: connections that free themselves, callbacks as std::function, errors as exceptions. One header over
 * the C interface; what it has no function for is done with Connection::get() and the C functions.
 *
 *     mgos::mqtt::Options options("mqtts://broker.example");
 *     mgos::mqtt::Connection c(options.get());
 *     c.subscribe("plant/#", 1, [](const mgos::mqtt::Message &m) { std::cout << m.topic << '\n'; });
 *     c.connect(std::chrono::seconds(10));
 *     c.publish("plant/door", "open", 1);
 *     while (running) mgos_mqtt_loop_poll(nullptr, 1000);
 *
 * EXCEPTIONS. What a call cannot do is thrown as mgos::mqtt::Error. No exception leaves a callback, since C functions are
 * below it: it is handed to on_exception(), and the loop goes on.
 *
 * THREADS as in mgos_mqtt_loop.h: callbacks run on the thread that drives the loop, every function may be called from any
 * thread and inside callbacks.
 */
#ifndef MGOS_MQTT_HPP
#define MGOS_MQTT_HPP

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "mgos_mqtt_all.h"

namespace mgos {
namespace mqtt {

/* A call failed: what() is the sentence, code() one of MGOS_MQTT_*. */
class Error : public std::runtime_error {
 public:
  Error(int code, const std::string &text) : std::runtime_error(text), code_(code) {
  }
  int code() const noexcept {
    return code_;
  }

 private:
  int code_;
};

/* Called with what a callback threw; by default it is written to standard error. Set it before there are threads. */
inline std::function<void(std::exception_ptr)> &on_exception() {
  static std::function<void(std::exception_ptr)> handler = [](std::exception_ptr thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception &e) {
      std::fprintf(stderr, "mgos_mqtt: a callback threw: %s\n", e.what());
    } catch (...) {
      std::fprintf(stderr, "mgos_mqtt: a callback threw something\n");
    }
  };
  return handler;
}

/* A message, as long as its callback runs. */
struct Message {
  std::string_view topic, payload;
  int qos;
  bool retain, dup;
  const mgos_mqtt_event *event; /* for everything else, such as properties */
};

/* How a publish ended. */
struct Outcome {
  int outcome; /* MGOS_MQTT_OUTCOME_* */
  int reason;  /* of the server; -1 without one */
  explicit operator bool() const noexcept {
    return outcome == MGOS_MQTT_OUTCOME_ACKED || outcome == MGOS_MQTT_OUTCOME_SENT;
  }
};

namespace detail {

[[noreturn]] inline void fail(int code) {
  char text[1024];
  if (mgos_mqtt_last_error_text(text, sizeof(text)) == 0) std::snprintf(text, sizeof(text), "%s", mgos_mqtt_strerror(code));
  throw Error(code, text);
}

inline void check(int result) {
  if (result < 0) fail(result);
}

/* Calls a function of the application; what it throws goes no further. */
template <typename Function, typename... Arguments>
void guarded(const Function &function, Arguments &&...arguments) noexcept {
  try {
    function(std::forward<Arguments>(arguments)...);
  } catch (...) {
    try {
      on_exception()(std::current_exception());
    } catch (...) { /* the handler's own */
    }
  }
}

/* As an argument in C: what is too long for it is as good as for ever. */
inline int milliseconds(std::chrono::milliseconds time) noexcept {
  constexpr std::chrono::milliseconds longest(std::numeric_limits<int>::max());
  return static_cast<int>(time < longest ? time.count() : longest.count());
}

template <typename Function>
void release(void *ud) noexcept {
  delete static_cast<Function *>(ud);
}

}  // namespace detail

/* The options of a connection to one server, with everything at its default. */
class Options {
 public:
  explicit Options(std::string server) : server_(std::move(server)) {
    mgos_config_mqtt_set_defaults(&config);
    config.enable = 1;
  }
  /* What may be set: strings in both have to live until the connection is made. */
  mgos_config_mqtt config = {};
  mgos_mqtt_options options = mgos_mqtt_options_init();

  const mgos_mqtt_options &get() {
    config.server = server_.c_str();
    options.profiles = &config;
    options.num_profiles = 1;
    return options;
  }

 private:
  std::string server_;
};

/* A connection. Freed with the object: when the destructor returns, no callback of it runs or will run, and what the
 * callbacks had is freed. If another thread drives the loop, the destructor waits for a callback that runs; so it must not be
 * run with a lock held that a callback takes. Inside a callback it does not wait: the rest happens when that returns. */
class Connection {
 public:
  explicit Connection(const mgos_mqtt_options &options, mgos_mqtt_loop *loop = nullptr, int id = 0)
      : c_(mgos_mqtt_conn_create_on(loop, id, &options)) {
    if (!c_) detail::fail(mgos_mqtt_last_error());
  }

  /* The handle for the C functions; it stays this object's. */
  mgos_mqtt_conn *get() const noexcept {
    return c_.get();
  }

  /* Begins to connect, and keeps the connection up. */
  void connect() {
    if (!mgos_mqtt_conn_connect(get())) detail::fail(mgos_mqtt_last_error());
  }
  /* The same, and waits for the result of the attempt; not inside a callback. */
  void connect(std::chrono::milliseconds timeout) {
    const int error = mgos_mqtt_conn_connect_wait(get(), detail::milliseconds(timeout));
    mgos_mqtt_error_info info = mgos_mqtt_error_info_init();
    char text[1024];
    if (error == 0) return;
    /* What the link says has more to it, if it is about this error and not one before. */
    if (mgos_mqtt_last_error_text(text, sizeof(text)) == 0) std::snprintf(text, sizeof(text), "%s", mgos_mqtt_strerror(error));
    mgos_mqtt_conn_last_error(get(), &info);
    if (info.code == error) mgos_mqtt_conn_last_error_text(get(), text, sizeof(text));
    throw Error(error, text);
  }
  void disconnect() noexcept {
    mgos_mqtt_conn_disconnect(get());
  }
  bool connected() const noexcept {
    return mgos_mqtt_conn_is_connected(get());
  }

  /* Subscribes, now and after every reconnect. */
  void subscribe(const std::string &filter, int qos, std::function<void(const Message &)> on_message) {
    using Function = std::function<void(const Message &)>;
    auto kept = std::make_unique<Function>(std::move(on_message));
    detail::check(mgos_mqtt_conn_subscribe_messages(
        get(), filter.c_str(), qos,
        [](mgos_mqtt_conn *, const mgos_mqtt_event *ev, void *ud) {
          std::size_t topic_len, payload_len;
          const char *topic = mgos_mqtt_event_topic(ev, &topic_len);
          const char *payload = static_cast<const char *>(mgos_mqtt_event_payload(ev, &payload_len));
          detail::guarded(*static_cast<Function *>(ud),
                          Message{{topic, topic_len}, {payload, payload_len}, mgos_mqtt_event_qos(ev), mgos_mqtt_event_retain(ev),
                                  mgos_mqtt_event_dup(ev), ev});
        },
        kept.get(), detail::release<Function>));
    kept.release(); /* the library has it now */
  }
  /* Ends the newest subscription to this filter; whether there was one. */
  bool unsubscribe(const std::string &filter) {
    return mgos_mqtt_conn_unsub(get(), filter.c_str());
  }

  /* Publishes; `done`, if there is one, is called once with the outcome, also when the connection is freed before.
   * Returns the token of the message. */
  std::uint64_t publish(const std::string &topic, std::string_view payload, int qos = 0, bool retain = false,
                        std::function<void(const Outcome &)> done = {}) {
    using Function = std::function<void(const Outcome &)>;
    mgos_mqtt_publication message = mgos_mqtt_publication_init();
    std::unique_ptr<Function> kept;
    std::uint64_t token = 0;
    message.topic = topic.c_str();
    message.payload = payload.data();
    message.payload_len = payload.size();
    message.qos = qos;
    message.retain = retain;
    if (done) {
      kept = std::make_unique<Function>(std::move(done));
      message.ud = kept.get();
      message.done = [](mgos_mqtt_conn *, const mgos_mqtt_event *ev, void *ud) {
        std::unique_ptr<Function> last(static_cast<Function *>(ud)); /* it is called once */
        detail::guarded(*last, Outcome{mgos_mqtt_event_outcome(ev), mgos_mqtt_event_code(ev)});
      };
    }
    detail::check(mgos_mqtt_conn_publish(get(), &message, &token));
    kept.release();
    return token;
  }

  /* Called when an attempt to connect has ended: with 0, or why it failed. One function; a new one takes its place. */
  void on_connect(std::function<void(int error)> function) {
    set(mgos_mqtt_conn_on_connect, std::move(function));
  }
  /* Called when a connection that was up is closed, with the reason. */
  void on_offline(std::function<void(int error)> function) {
    set(mgos_mqtt_conn_on_offline, std::move(function));
  }

 private:
  using Told = std::function<void(int)>;
  template <typename Setter>
  void set(Setter setter, Told function) {
    auto kept = std::make_unique<Told>(std::move(function));
    detail::check(setter(
        get(),
        [](mgos_mqtt_conn *, const mgos_mqtt_event *ev, void *ud) {
          detail::guarded(*static_cast<Told *>(ud), mgos_mqtt_event_error(ev));
        },
        kept.get(), detail::release<Told>));
    kept.release();
  }

  struct Free {
    void operator()(mgos_mqtt_conn *c) const noexcept {
      mgos_mqtt_conn_free_wait(c, -1);
    }
  };
  std::unique_ptr<mgos_mqtt_conn, Free> c_;
};

}  // namespace mqtt
}  // namespace mgos

#endif /* MGOS_MQTT_HPP */
