// SPDX-License-Identifier: BSD-3-Clause
//
// The network thread: it alone runs io_, owns the link and the timers, and never waits for anything but io_.
// The machine and what stands beside it under `mutex_` are shared with the callers.
#include "metaserver/client/client_runtime.h"

#include "metaserver/base/check.h"
#include "metaserver/client/link.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <random>
#include <thread>
#include <utility>

#include <pthread.h>

namespace csnap::client {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {
constexpr milliseconds backoff_min{10}, backoff_max{1000};
constexpr milliseconds poll_interval{100};
constexpr milliseconds goodbye_patience{2000};
constexpr milliseconds good_connection{1000};  // one that lasted so long was no failed attempt
}  // namespace

struct client_runtime::impl {
  impl(client_runtime &r, runtime_options o) : runtime(r), options(std::move(o)), servers(options.servers) {}

  client_runtime &runtime;
  const runtime_options options;
  std::condition_variable changed;
  // Under the lock of the runtime:
  unsigned waiters = 0;
  bool stopping = false;
  bool leaving = false;  // says goodbye: no new session after it
  std::string last_error;
  // The network thread's own:
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  asio::steady_timer tick_timer{io}, retry_timer{io};
  boottime_ms tick_at;
  std::shared_ptr<link> connection;
  endpoint target;              // of `connection`
  bool is_up = false;           // the machine knows the connection
  std::string peer;             // of this connection
  bool has_complained = false;  // of a lost one: say when the server has answered again
  steady_clock::time_point up_since;
  std::size_t next_server = 0;
  std::vector<endpoint> servers;  // to try in turn; with an agent: its last word
  std::unique_ptr<agent_watch> agent;
  std::string hint;
  int hints_followed = 0;
  milliseconds backoff = backoff_min;
  std::minstd_rand jitter{std::random_device{}()};

  std::atomic<bool> kicked = false;
  std::thread thread;

  void log(const std::string &line) const {
    if (options.log) options.log(line);
  }
  void connect();
  void watch_agent();
  void agent_says(term_id term, const endpoint &where);
  void opened(const endpoint &where);
  void received(const wire::envelope &what);
  void lost(const error &why);
  void retry_later(bool at_once);
  void tick();
  void pump();
  void arm_tick(boottime_ms at);
  void shut_down();
};

// ---- connecting ----

void client_runtime::impl::connect() {
  {
    const std::lock_guard guard(runtime.mutex_);
    if (leaving && !runtime.machine_->has_session()) return;
  }
  if (servers.empty()) return;  // the agent has not found a master yet
  if (connection) return;       // the agent's word was quicker than a retry that was queued already
  endpoint where = servers[next_server % servers.size()];
  const auto hinted = parse_endpoint(hint);
  hint.clear();
  if (hinted && may_follow(*hinted, servers)) where = *hinted;
  else ++next_server;
  connection = std::make_shared<link>(
      io, link::events{[this, where] { opened(where); }, [this](const wire::envelope &e) { received(e); },
                       [this] { pump(); }, [this](const error &e) { lost(e); }});
  target = where;
  connection->open(where);
}

void client_runtime::impl::watch_agent() {
  agent = std::make_unique<agent_watch>(
      io, *options.agent,
      agent_watch::events{[this](term_id term, const endpoint &where) { agent_says(term, where); },
                          [] {},  // who is connected stays so: only the connection shows that it has ended
                          [this](const error &why) {
                            const std::lock_guard guard(runtime.mutex_);
                            if (servers.empty()) last_error = why.text;
                          }});
}

void client_runtime::impl::agent_says(term_id term, const endpoint &where) {
  servers = {where};
  if (connection && target == where) return;
  if (connection) {
    {
      // The agent may be behind.
      const std::lock_guard guard(runtime.mutex_);
      if (is_up && runtime.machine_->term() >= term) return;
    }
    connection->close();
    lost(fail(errc::stale, "the agent says that the master is at " + where.text() + " now"));
  }
  backoff = backoff_min;
  retry_later(true);
}

void client_runtime::impl::opened(const endpoint &where) {
  is_up = true;
  peer = where.text();
  up_since = steady_clock::now();
  {
    const std::lock_guard guard(runtime.mutex_);
    runtime.machine_->connected(boottime_now());
  }
  pump();
}

void client_runtime::impl::received(const wire::envelope &what) {
  result<> outcome;
  {
    const std::lock_guard guard(runtime.mutex_);
    outcome = runtime.machine_->received(what, boottime_now(), &hint);
  }
  if (outcome) {
    if (std::exchange(has_complained, false)) log("connected again, to " + peer);
    return;
  }
  connection->close();
  lost(outcome.error());
}

void client_runtime::impl::lost(const error &why) {
  connection.reset();
  bool is_news = false;
  {
    const std::lock_guard guard(runtime.mutex_);
    if (is_up) runtime.machine_->disconnected(boottime_now());
    is_news = std::exchange(last_error, why.text) != why.text;
  }
  if (is_news || !has_complained) log(why.text);
  has_complained = true;
  if (std::exchange(is_up, false) && steady_clock::now() - up_since >= good_connection) {
    backoff = backoff_min;
    hints_followed = 0;
  }
  retry_later(!hint.empty() && ++hints_followed <= hints_in_a_row_max);
  pump();
}

void client_runtime::impl::retry_later(bool at_once) {
  milliseconds delay{0};
  if (!at_once) {
    hints_followed = 0;
    // Half fixed, half random: many clients that lost one server must not come back in step.
    const auto half = backoff.count() / 2;
    delay = milliseconds(half + std::uniform_int_distribution<std::int64_t>(0, half)(jitter));
    backoff = std::min(backoff * 2, backoff_max);
  }
  retry_timer.expires_after(delay);
  retry_timer.async_wait([this](boost::system::error_code ec) {
    if (!ec) connect();
  });
}

// ---- time and news ----

void client_runtime::impl::tick() {
  bool is_silent = false;
  {
    const std::lock_guard guard(runtime.mutex_);
    const boottime_ms now = boottime_now();
    is_silent = runtime.machine_->peer_is_silent(now);
    if (!is_silent) runtime.machine_->tick(now);
  }
  if (is_silent && connection) {
    connection->close();
    lost(fail(errc::timed_out, "the server does not answer"));
    return;
  }
  pump();
}

void client_runtime::impl::arm_tick(boottime_ms at) {
  if (at == tick_at) return;
  tick_at = at;
  const auto wait = std::max<std::int64_t>(at.value - boottime_now().value, 1);
  tick_timer.expires_after(milliseconds(wait));
  tick_timer.async_wait([this](boost::system::error_code ec) {
    if (ec) return;
    tick_at = boottime_ms{};
    tick();
  });
}

// Sends what is to be sent and tells who waits. Called after anything that may have changed the machine.
void client_runtime::impl::pump() {
  kicked = false;  // before the look: what comes after it kicks again
  std::vector<std::vector<std::byte>> frames;
  boottime_ms next;
  bool is_news = false;
  {
    const std::lock_guard guard(runtime.mutex_);
    frames = runtime.machine_->take_frames();
    next = runtime.machine_->next_tick(boottime_now());
    const std::uint64_t changes = runtime.machine_->changes();
    is_news = std::exchange(runtime.changes_told_, changes) != changes;
    if (is_news && waiters > 0) changed.notify_all();
  }
  if (connection && !frames.empty()) connection->send(std::move(frames));
  arm_tick(next);
  if (is_news && options.on_change) options.on_change();
}

void client_runtime::impl::shut_down() {
  agent.reset();
  if (connection) connection->close();
  connection.reset();
  (void)tick_timer.cancel();
  (void)retry_timer.cancel();
  work.reset();
  io.stop();
}

// ---- the callers' side ----

client_runtime::client_runtime(runtime_options options) {
  check(!options.servers.empty() || options.agent, "a client needs an endpoint, or an agent");
  // Sixteen threads of a connection hold this lock for a moment each, twice for every write: glibc's adaptive kind
  // spins for that moment, where the normal one would put the thread to sleep. Nobody can hold it yet.
  *mutex_.native_handle() = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
  machine_ = std::make_unique<client_machine>(options.machine);
  impl_ = std::make_unique<impl>(*this, std::move(options));
  asio::post(impl_->io, [this] {
    if (impl_->options.agent) impl_->watch_agent();
    impl_->connect();
    impl_->pump();
  });
  impl_->thread = std::thread([this] { (void)impl_->io.run(); });
}

client_runtime::~client_runtime() { stop(false); }

void client_runtime::stop(bool say_goodbye) {
  if (!impl_->thread.joinable()) return;
  if (say_goodbye && locked([](client_machine &m, boottime_ms) { return m.has_session(); })) {
    const ticket t = locked([this](client_machine &m, boottime_ms) {
      impl_->leaving = true;
      return m.goodbye();
    });
    std::unique_lock lock(mutex_);
    ++impl_->waiters;
    (void)impl_->changed.wait_for(lock, goodbye_patience,
                                  [&] { return machine_->take_answer(t).has_value(); });
    --impl_->waiters;
  }
  {
    const std::lock_guard guard(mutex_);
    impl_->stopping = true;
    impl_->changed.notify_all();
  }
  asio::post(impl_->io, [this] { impl_->shut_down(); });
  impl_->thread.join();
}

void client_runtime::kick() {
  if (!impl_->kicked.exchange(true)) asio::post(impl_->io, [this] { impl_->pump(); });
}

bool client_runtime::wait_for_change(std::unique_lock<std::mutex> &lock, std::uint64_t seen,
                                     boottime_ms deadline, error *why) {
  if (has_news()) kick();
  while (machine_->changes() == seen) {
    if (impl_->options.interrupted) {
      lock.unlock();  // foreign code is not run under the lock
      const bool is_over = impl_->options.interrupted();
      lock.lock();
      if (is_over) return *why = fail(errc::shutting_down, "interrupted"), false;
    }
    if (impl_->stopping) return *why = fail(errc::shutting_down, "the client is stopping"), false;
    if (machine_->changes() != seen) return true;
    const std::int64_t left = deadline.value - boottime_now().value;
    if (left <= 0) {
      const std::string &reason = impl_->last_error;
      *why = fail(errc::timed_out,
                  "the server did not answer in time" + (reason.empty() ? "" : "; last: " + reason));
      return false;
    }
    ++impl_->waiters;
    (void)impl_->changed.wait_for(lock, std::min(poll_interval, milliseconds(left)));
    --impl_->waiters;
  }
  return true;
}

result<answer> client_runtime::call(wire::message what, milliseconds timeout) {
  const ticket t = locked([&](client_machine &m, boottime_ms) { return m.request(std::move(what)); });
  auto got = wait_until<answer>(timeout, [t](client_machine &m, boottime_ms) { return m.take_answer(t); });
  if (!got) {
    locked([t](client_machine &m, boottime_ms) { m.abandon(t); });
    return got;
  }
  if (const auto *f = std::get_if<wire::failed>(&*got)) return fail(f->code, f->text);
  return got;
}

}  // namespace csnap::client
