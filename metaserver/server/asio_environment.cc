// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/asio_environment.h"

#include "metaserver/client/client_runtime.h"

#include <boost/asio/post.hpp>

#include <chrono>
#include <utility>

#include <sys/random.h>

namespace csnap::server {

namespace asio = boost::asio;

namespace {

own_place describe_own_place(bool one_host) {
  const auto self = client::describe_this_process();
  return {self.boot, self.node, one_host};
}

}  // namespace

asio_environment::asio_environment(asio::io_context &io, bool one_host)
    : io_(io),
      own_(describe_own_place(one_host)),
      timer_(io),
      processes_(io, own_, [this](session_id session) { died_(session); }),
      workers_{asio::thread_pool(1), asio::thread_pool(1), asio::thread_pool(1)} {}

asio_environment::~asio_environment() { end_jobs(); }

boottime_ms asio_environment::now() { return client::boottime_now(); }

std::int64_t asio_environment::unix_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

std::uint64_t asio_environment::random_bits() {
  std::uint64_t bits = 0;
  if (::getrandom(&bits, sizeof bits, 0) != static_cast<ssize_t>(sizeof bits))
    stop_at_once("no random numbers", fail(errc::io, "getrandom failed"));
  return bits;
}

void asio_environment::post(std::function<void()> what) { asio::post(io_, std::move(what)); }

void asio_environment::set_timer(std::int64_t wait_ms, std::function<void()> what) {
  timer_.expires_after(std::chrono::milliseconds(wait_ms));
  timer_.async_wait([what = std::move(what)](const boost::system::error_code &cancelled) {
    if (!cancelled) what();
  });
}

void asio_environment::cancel_timer() { timer_.cancel(); }

void asio_environment::run(worker who, std::function<void()> job, std::function<void()> then) {
  asio::post(workers_[static_cast<std::size_t>(who)],
             [this, job = std::move(job), then = std::move(then)]() mutable {
               job();
               asio::post(io_, std::move(then));
             });
}

// The io_context runs no handler after its master is gone.
void asio_environment::end_jobs() {
  for (auto &each : workers_) each.join();
}

void asio_environment::limit_claims(wire::hello &said) { trust_only_visible_process(said, own_); }

void asio_environment::watch(const core::watch_process &whom, std::function<void(session_id)> died) {
  died_ = std::move(died);
  processes_.watch(whom);
}

void asio_environment::unwatch(session_id session) { processes_.unwatch(session); }

void asio_environment::log(log_level level, const std::string &text) { server::log(level, text); }

void asio_environment::stop_at_once(const std::string &what, const error &why) {
  server::stop_at_once(what, why);
}

}  // namespace csnap::server
