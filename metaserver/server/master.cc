// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/master.h"

#include "metaserver/client/client_runtime.h"
#include "metaserver/server/log.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

#include <sys/random.h>

namespace csnap::server {
namespace {

namespace asio = boost::asio;
using client::boottime_now;

// The reaper asks for a tick at once, again and again. So many may run ahead of the log's thread: then it has
// no backlog of records that a commit would have to wait behind.
constexpr int ticks_ahead_max = 8;
// A steady timer stands still while the machine sleeps, leases do not: look at the time at least this often.
constexpr std::int64_t tick_interval_ms_max = 1000;

std::uint64_t random_bits() {
  std::uint64_t bits = 0;
  if (::getrandom(&bits, sizeof bits, 0) != static_cast<ssize_t>(sizeof bits))
    stop_at_once("no random numbers", fail(errc::io, "getrandom failed"));
  return bits;
}

std::int64_t unix_ms_now() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

core::core_options options_of_core() {
  core::core_options options;
  options.random = random_bits;
  options.unix_ms = unix_ms_now;
  return options;
}

}  // namespace

master::master(asio::io_context &io, std::unique_ptr<store::engine> engine, block_device &metadata,
               peers &others, server_description about)
    : io_(io),
      peers_(others),
      about_(std::move(about)),
      began_(boottime_now()),
      own_boot_(client::describe_this_process().boot),
      engine_(std::move(engine)),
      core_(*engine_, options_of_core(), began_),
      processes_(io, own_boot_,
                 [this](session_id session) {
                   core_.session_died(session, boottime_now());
                   after_input();
                 }),
      timer_(io),
      commits_(io, *engine_, metadata,
               {[this](record_seq last) {
                  ticks_since_durable_ = 0;
                  core_.records_durable(last, boottime_now());
                  after_input();
                },
                [this] {
                  if (!finishing_ && engine_->has_room()) peers_.room_again();
                  after_input();
                }}) {
  after_input();  // processes of sessions from before are watched from now on
}

bool master::handle_message(core::connection_id from, const wire::envelope &what) {
  if (finishing_ || answer_report(from, what)) return true;
  if (!engine_->has_room()) return false;
  if (std::holds_alternative<wire::hello>(what.body)) {
    wire::envelope checked = what;
    trust_only_visible_process(std::get<wire::hello>(checked.body), own_boot_);
    core_.handle_message(from, checked, boottime_now());
  } else {
    core_.handle_message(from, what, boottime_now());
  }
  after_input();
  return true;
}

bool master::answer_report(core::connection_id from, const wire::envelope &what) {
  const bool is_status = std::holds_alternative<wire::status>(what.body);
  if (!is_status && !std::holds_alternative<wire::sessions>(what.body)) return false;
  const boottime_ms now = boottime_now();
  const core::core_status status = core_.status(now);
  about_.uptime_seconds = (now.value - began_.value) / 1000;
  wire::report report;
  report.json = is_status ? status_json(*engine_, status, about_) : sessions_json(status.sessions);
  wire::envelope answer;
  answer.request = what.request;
  answer.term = engine_->term();
  answer.body = std::move(report);
  peers_.send(from, answer);
  return true;
}

void master::connection_lost(core::connection_id who) {
  if (finishing_) return;
  core_.connection_lost(who, boottime_now());
  after_input();
}

void master::after_input() {
  for (const core::output &what : core_.take_outputs()) carry_out(what);
  commits_.kick();
  plan_tick();
}

void master::carry_out(const core::output &what) {
  if (const auto *message = std::get_if<core::send>(&what)) {
    peers_.send(message->to, message->what);
  } else if (const auto *end = std::get_if<core::hang_up>(&what)) {
    peers_.hang_up(end->who, end->reason);
  } else if (const auto *process = std::get_if<core::watch_process>(&what)) {
    const auto session = engine_->sessions().find(process->session);
    if (session != engine_->sessions().end() && session->second.io_ends_with_process)
      processes_.watch(*process);
  } else if (const auto *over = std::get_if<core::unwatch_process>(&what)) {
    processes_.unwatch(over->session);
  } else if (const auto *line = std::get_if<core::log_line>(&what)) {
    log(line->warning ? log_level::warning : log_level::info, line->text);
  } else if (const auto *stop = std::get_if<core::stop_serving>(&what)) {
    stop_at_once("the store cannot be used", stop->why);
  }
}

// Ticks and messages take turns: a posted tick goes behind what is ready already.
void master::plan_tick() {
  if (finishing_ || tick_posted_ || !engine_->has_room()) return;  // a checkpoint's end comes back here
  const boottime_ms now = boottime_now();
  const boottime_ms due = core_.next_tick(now);
  if (due <= now) {
    const bool log_is_behind = engine_->last_durable() < engine_->last_appended();
    if (ticks_since_durable_ >= ticks_ahead_max && log_is_behind) return;  // so does a durable batch
    tick_posted_ = true;
    asio::post(io_, [this] { tick(); });
    return;
  }
  const boottime_ms wanted{std::min(due.value, now.value + tick_interval_ms_max)};
  const bool timer_is_set = timer_due_ > now;
  if (timer_is_set && timer_due_ <= wanted) return;
  timer_due_ = wanted;
  timer_.expires_after(std::chrono::milliseconds(wanted.value - now.value));
  timer_.async_wait([this](const boost::system::error_code &cancelled) {
    if (!cancelled) tick();
  });
}

void master::tick() {
  tick_posted_ = false;
  timer_due_ = boottime_ms{};
  if (finishing_ || !engine_->has_room()) return;
  ++ticks_since_durable_;
  core_.tick(boottime_now());
  after_input();
}

void master::finish(std::function<void()> finished) {
  finishing_ = true;
  timer_.cancel();
  commits_.finish(std::move(finished));
}

}  // namespace csnap::server
