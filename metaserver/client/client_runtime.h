// SPDX-License-Identifier: BSD-3-Clause
//
// A client_machine with a thread, a clock and a connection. One network thread (Asio) finds the master among
// the endpoints, keeps the session and moves frames; any number of caller threads use the machine through
// `locked` and wait for it to change. Nothing here touches a device.
#pragma once

#include "metaserver/client/agent_watch.h"
#include "metaserver/client/client_machine.h"
#include "metaserver/client/endpoint.h"

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>

namespace csnap::client {

boottime_ms boottime_now();    // CLOCK_BOOTTIME
unique_id random_unique_id();  // getrandom
// What a hello says about this process: host name, space, pid, start time. Call after the last fork.
machine_options describe_this_process();

struct runtime_options {
  std::vector<endpoint> servers;       // or:
  std::optional<agent_options> agent;  // says where the master is
  machine_options machine;
  // Called by the network thread, without the lock, after the machine changed: work off take_drains().
  std::function<void()> on_change;
  // Polled about every 100 ms while a caller waits; true ends the wait: errc::shutting_down. May be empty.
  std::function<bool()> interrupted;
  std::function<void(const std::string &)> log;  // one line; may be empty
};

class client_runtime {
 public:
  // Starts the network thread; returns at once. Reconnects for ever, 10 ms .. 1 s apart.
  explicit client_runtime(runtime_options options);
  ~client_runtime();  // as stop(false); no caller may be inside any more
  // Ends the thread; waits of callers end with shutting_down. Says goodbye first if asked to (no I/O of this
  // session may be in flight), for 2 s at most.
  void stop(bool say_goodbye);

  // Runs `f(machine, now)` under the lock; then sends what it produced.
  template <class F>
  auto locked(F &&f) {
    after_lock send_later(*this);  // destroyed after the lock is released
    const std::lock_guard guard(mutex_);
    const before_unlock note(send_later);
    return f(*machine_, boottime_now());
  }
  // Calls `attempt(machine, now)` under the lock until it gives a value, waiting for changes in between.
  // Errors: timed_out when `timeout` has passed (0: for ever), shutting_down.
  template <class T>
  result<T> wait_until(std::chrono::milliseconds timeout,
                       const std::function<std::optional<T>(client_machine &, boottime_ms)> &attempt);
  const read_watch &watch() const { return machine_->watch(); }
  // One request and its answer. Errors: as wait_until; a `failed` answer becomes the error it holds.
  result<answer> call(wire::message what, std::chrono::milliseconds timeout);

 private:
  struct impl;
  // The hot path must not wake the network thread for nothing: what it would have to do is looked at under
  // the lock, and done after it.
  struct after_lock {
    explicit after_lock(client_runtime &r) : runtime(r) {}
    after_lock(const after_lock &) = delete;
    ~after_lock() {
      if (is_needed) runtime.kick();
    }
    client_runtime &runtime;
    bool is_needed = false;
  };
  struct before_unlock {
    explicit before_unlock(after_lock &a) : later(a) {}
    before_unlock(const before_unlock &) = delete;
    ~before_unlock() { later.is_needed = later.runtime.has_news(); }
    after_lock &later;
  };
  bool has_news() const { return machine_->has_frames() || machine_->changes() != changes_told_; }
  void kick();  // wakes the network thread
  // Waits for the machine to change; false when the wait must end (fills `why`).
  bool wait_for_change(std::unique_lock<std::mutex> &lock, std::uint64_t seen, boottime_ms deadline,
                       error *why);

  std::mutex mutex_;
  std::unique_ptr<client_machine> machine_;
  std::uint64_t changes_told_ = 0;  // waiters and on_change have been told up to here
  std::unique_ptr<impl> impl_;
};

// Where the tool tries, one place after the other.
struct server_source {
  std::function<result<endpoint>(std::chrono::steady_clock::time_point deadline)> next;
  std::vector<endpoint> named;  // by the user: hints may lead there
};
server_source in_turn(std::vector<endpoint> servers);
server_source of_agent(agent_options agent);
// For the tool: one connection, one request at a time, no session, no thread. Tries the endpoints in turn, or
// what the agent says, follows "not the master, try ADDRESS", and tries again until `timeout` has passed; a
// request that was sent and lost is sent again with the same id.
result<answer> call_once(const server_source &servers, const wire::message &request,
                         std::chrono::milliseconds timeout);
inline result<answer> call_once(std::vector<endpoint> servers, const wire::message &request,
                                std::chrono::milliseconds timeout) {
  return call_once(in_turn(std::move(servers)), request, timeout);
}

template <class T>
result<T> client_runtime::wait_until(
    std::chrono::milliseconds timeout,
    const std::function<std::optional<T>(client_machine &, boottime_ms)> &attempt) {
  after_lock send_later(*this);
  std::unique_lock lock(mutex_);
  const before_unlock note(send_later);
  const boottime_ms begin = boottime_now();
  const boottime_ms deadline{timeout.count() == 0 ? INT64_MAX : begin.value + timeout.count()};
  for (;;) {
    const std::uint64_t seen = machine_->changes();
    if (auto value = attempt(*machine_, boottime_now())) return std::move(*value);
    error why;
    // Said in full: a T that can itself be made of an error would make a plain `return why` ambiguous.
    if (!wait_for_change(lock, seen, deadline, &why)) return result<T>(boost::system::in_place_error, why);
  }
}

}  // namespace csnap::client
