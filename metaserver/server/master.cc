// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/master.h"

#include <algorithm>
#include <utility>

namespace csnap::server {
namespace {

// The reaper asks for a tick at once, again and again. So many may run ahead of the log's thread: then it has
// no backlog of records that a commit would have to wait behind.
constexpr int ticks_ahead_max = 8;
// A steady timer stands still while the machine sleeps, leases do not: look at the time at least this often.
constexpr std::int64_t tick_interval_ms_max = 1000;

core::core_options options_of_core(server_environment &around, const master_options &given) {
  core::core_options options;
  options.random = [&around] { return around.random_bits(); };
  options.unix_ms = [&around] { return around.unix_ms(); };
  options.planted = given.planted_in_core;
  options.measure_store = given.measure_store;
  return options;
}

}  // namespace

master::master(server_environment &around, std::unique_ptr<store::engine> engine, block_device &metadata,
               peers &others, master_options options)
    : around_(around),
      peers_(others),
      about_(std::move(options.about)),
      more_conditions_(std::move(options.more_conditions)),
      began_(around.now()),
      engine_(std::move(engine)),
      core_(*engine_, options_of_core(around, options), began_),
      commits_(around, *engine_, metadata,
               {[this](record_seq last) {
                  ticks_since_durable_ = 0;
                  core_.records_durable(last, around_.now());
                  after_input();
                },
                [this] {
                  if (!finishing_ && engine_->has_room()) peers_.room_again();
                  after_input();
                }},
               options.planted, options.election_can_split) {
  if (options.election_can_split && !options.planted.unproved)
    proof_.emplace(
        around, metadata, engine_->shape(), engine_->term(),
        [this](const core::output &proved) { carry_out(proved); }, options.planted);
  after_input();  // processes of sessions from before are watched from now on
}

bool master::handle_message(core::connection_id from, const wire::envelope &what) {
  if (finishing_ || answer_report(from, what)) return true;
  if (!engine_->has_room()) return false;
  if (std::holds_alternative<wire::hello>(what.body)) {
    wire::envelope checked = what;
    around_.limit_claims(std::get<wire::hello>(checked.body));
    core_.handle_message(from, checked, around_.now());
  } else {
    core_.handle_message(from, what, around_.now());
  }
  after_input();
  return true;
}

master_view master::view() {
  const boottime_ms now = around_.now();
  server_description about = about_;
  about.uptime_seconds = (now.value - began_.value) / 1000;
  core::core_status status = core_.status(now);
  if (more_conditions_)
    for (auto &each : more_conditions_(status.sessions)) status.conditions.push_back(std::move(each));
  return {*engine_, std::move(status), std::move(about), commits_.figures()};
}

bool master::answer_report(core::connection_id from, const wire::envelope &what) {
  const bool is_status = std::holds_alternative<wire::status>(what.body);
  if (!is_status && !std::holds_alternative<wire::sessions>(what.body)) return false;
  const master_view now = view();
  wire::report report;
  report.json =
      is_status ? status_json(now.engine, now.status, now.about) : sessions_json(now.status.sessions);
  wire::envelope answer;
  answer.request = what.request;
  answer.term = engine_->term();
  answer.body = std::move(report);
  peers_.send(from, answer);
  return true;
}

void master::predecessors_died() {
  if (finishing_) return;
  engine_->predecessors_died();
  after_input();
}

void master::prove(std::function<void()> then) {
  if (finishing_) return;
  if (proof_) proof_->look(std::move(then));
  else then();
}

void master::sessions_died(const std::vector<session_id> &dead) {
  if (finishing_) return;
  for (const session_id id : dead) core_.session_died(id, around_.now());
  after_input();
}

void master::connection_lost(core::connection_id who) {
  if (finishing_) return;
  core_.connection_lost(who, around_.now());
  after_input();
}

void master::after_input() {
  auto decided = core_.take_outputs();
  for (const core::output &what : decided)
    if (!proof_ || std::holds_alternative<core::stop_serving>(what)) carry_out(what);
  if (proof_) proof_->hold(std::move(decided));
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
      around_.watch(*process, [this](session_id gone) {
        if (finishing_) return;
        core_.session_died(gone, around_.now());
        after_input();
      });
  } else if (const auto *over = std::get_if<core::unwatch_process>(&what)) {
    around_.unwatch(over->session);
  } else if (const auto *line = std::get_if<core::log_line>(&what)) {
    around_.log(line->warning ? log_level::warning : log_level::info, line->text);
  } else if (const auto *stop = std::get_if<core::stop_serving>(&what)) {
    around_.stop_at_once("the store cannot be used", stop->why);
  }
}

// Ticks and messages take turns: a posted tick goes behind what is ready already.
void master::plan_tick() {
  if (finishing_ || tick_posted_ || !engine_->has_room()) return;  // a checkpoint's end comes back here
  const boottime_ms now = around_.now();
  const boottime_ms due = core_.next_tick(now);
  if (due <= now) {
    const bool log_is_behind = engine_->last_durable() < engine_->last_appended();
    if (ticks_since_durable_ >= ticks_ahead_max && log_is_behind) return;  // so does a durable batch
    tick_posted_ = true;
    around_.post([this] { tick(); });
    return;
  }
  const boottime_ms wanted{std::min(due.value, now.value + tick_interval_ms_max)};
  const bool timer_is_set = timer_due_ > now;
  if (timer_is_set && timer_due_ <= wanted) return;
  timer_due_ = wanted;
  around_.set_timer(wanted.value - now.value, [this] { tick(); });
}

void master::tick() {
  tick_posted_ = false;
  timer_due_ = boottime_ms{};
  if (finishing_ || !engine_->has_room()) return;
  ++ticks_since_durable_;
  core_.tick(around_.now());
  after_input();
}

void master::finish(std::function<void()> finished) {
  finishing_ = true;
  around_.cancel_timer();
  commits_.finish(std::move(finished));
}

}  // namespace csnap::server
