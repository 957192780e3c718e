// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/sim_client.h"

#include "tests/simulation/probes.h"

#include <algorithm>

namespace csnap::simulation {

using client::admission;
using client::read_state;

namespace {

constexpr nanoseconds backoff_min = 10 * millisecond, backoff_max = second;
constexpr nanoseconds poll_interval = 100 * millisecond;
constexpr int hints_in_a_row_max = 3;

}  // namespace

sim_client::sim_client(world &w, network &net, process &owner, client_setup setup)
    : world_(w),
      net_(net),
      owner_(owner),
      setup_(std::move(setup)),
      chance_(w.stream(setup_.place + std::to_string(owner.pid()))),
      box_(w, owner),
      machine_(setup_.machine),
      backoff_(backoff_min) {
  box_.post([this] { connect(); });
  box_.post([this] { pump(); });
}

boottime_ms sim_client::now() {
  const host &where = owner_.where();
  const nanoseconds time =
      setup_.time_is_monotonic ? where.monotonic(world_.now()) : where.boottime(world_.now());
  return boottime_ms{time / millisecond};
}

// ---- the connection: in the mailbox ----

void sim_client::connect() {
  std::string where = setup_.servers[next_server_ % setup_.servers.size()];
  if (!hint_.empty()) {
    where = std::exchange(hint_, {});
    sometimes(probe::hint_followed);
  } else {
    ++next_server_;
  }
  world_.say("%s connects to %s", owner_.name().c_str(), where.c_str());
  net_.connect(
      owner_, box_, setup_.place, where, [this](pipe_ptr made) { opened(std::move(made)); },
      [this] { lost(); });
}

void sim_client::opened(pipe_ptr made) {
  connection_ = std::move(made);
  input_ = {};
  up_since_ = world_.now();
  connection_->on_bytes = [this](std::span<const std::byte> bytes) { received(bytes); };
  connection_->on_closed = [this] { lost(); };
  world_.say("%s is connected", owner_.name().c_str());
  machine_.connected(now());
  pump();
}

void sim_client::received(std::span<const std::byte> bytes) {
  const pipe_ptr same = connection_;
  input_.add(bytes);
  for (;;) {
    const auto next = input_.next();
    if (next && !*next) break;
    result<> outcome = next ? machine_.received(**next, now(), &hint_) : result<>(next.error());
    if (next && setup_.on_message) setup_.on_message(**next);
    if (outcome) continue;
    sometimes(probe::client_dropped_connection);
    connection_->close();
    return lost();
  }
  pump();
}

void sim_client::lost() {
  world_.say("%s has lost its connection", owner_.name().c_str());
  if (connection_) {
    connection_.reset();
    machine_.disconnected(now());
    if (world_.now() - up_since_ >= second) backoff_ = backoff_min, hints_followed_ = 0;
  }
  nanoseconds delay = 0;
  if (hint_.empty() || ++hints_followed_ > hints_in_a_row_max) {
    hints_followed_ = 0;
    hint_.clear();
    delay = backoff_ / 2 + static_cast<nanoseconds>(chance_.below(static_cast<std::uint64_t>(backoff_ / 2)));
    backoff_ = std::min(backoff_ * 2, backoff_max);
  }
  world_.after(delay, &owner_, [this] { box_.post([this] { connect(); }); });
  pump();
}

void sim_client::tick() {
  if (machine_.peer_is_silent(now()) && connection_) {
    sometimes(probe::silent_peer_given_up);
    connection_->close();
    return lost();
  }
  machine_.tick(now());
  pump();
}

void sim_client::pump() {
  pump_posted_ = false;
  auto frames = machine_.take_frames();
  if (connection_) {
    std::vector<std::byte> all;
    for (const auto &frame : frames) all.insert(all.end(), frame.begin(), frame.end());
    connection_->send(std::move(all));
  }
  const boottime_ms next = machine_.next_tick(now());
  if (next != tick_at_) {
    tick_at_ = next;
    const std::int64_t wait = std::max<std::int64_t>(next.value - now().value, 1);
    world_.after(wait * millisecond, &owner_, [this, number = ++tick_number_] {
      if (number != tick_number_) return;
      tick_at_ = {};
      box_.post([this] { tick(); });
    });
  }
  if (std::exchange(told_, machine_.changes()) == machine_.changes()) return;
  wake_all();
  if (setup_.on_change) setup_.on_change();
}

void sim_client::wake_all() {
  for (fiber *f : waiters_) world_.wake(*f);
}

// ---- the callers ----

// Whatever a call has produced is sent by the mailbox, as by the network thread.
template <class T>
T sim_client::wait_until(const std::function<std::optional<T>()> &attempt) {
  for (;;) {
    auto got = attempt();
    if ((machine_.has_frames() || machine_.changes() != told_) && !std::exchange(pump_posted_, true))
      box_.post([this] { pump(); });
    if (got) return std::move(*got);
    fiber *self = fiber::current();
    waiters_.push_back(self);
    world_.wait(poll_interval);
    std::erase(waiters_, self);
  }
}

template <class T>
result<T> sim_client::answer_of(client::ticket t) {
  auto answer = wait_until<client::answer>([&] { return machine_.take_answer(t); });
  if (auto *failure = std::get_if<wire::failed>(&answer)) return fail(failure->code, failure->text);
  if (auto *wanted = std::get_if<T>(&answer)) return std::move(*wanted);
  return fail(errc::corrupt, "the server answered a request with a message of another kind");
}

result<client::write_verdict> sim_client::begin_write(volume_id volume, chunk_no first, std::uint64_t count) {
  world_.maybe_switch();
  bool waited = false;
  auto verdict = wait_until<client::write_verdict>([&]() -> std::optional<client::write_verdict> {
    auto v = machine_.begin_write(volume, first, count, now());
    if (auto drains = machine_.take_drains(); !drains.empty()) setup_.on_drains(std::move(drains));
    if (v.what != admission::wait) return v;
    waited = true;
    return std::nullopt;
  });
  sometimes(probe::write_waited, waited);
  sometimes(probe::write_admitted, verdict.what == admission::admitted);
  sometimes(probe::write_needs_copy, verdict.what == admission::copy_first);
  return verdict;
}

void sim_client::end_write(volume_id volume) {
  auto drains = wait_until<std::vector<client::client_machine::drain>>([&] {
    machine_.end_write(volume);
    return std::optional(machine_.take_drains());
  });
  sometimes(probe::last_write_let_a_barrier_go_on, !drains.empty());
  if (!drains.empty()) setup_.on_drains(std::move(drains));
}

void sim_client::write_drained() {
  auto drains = wait_until<std::vector<client::client_machine::drain>>([&] {
    machine_.write_drained();
    return std::optional(machine_.take_drains());
  });
  sometimes(probe::last_write_let_a_barrier_go_on, !drains.empty());
  if (!drains.empty()) setup_.on_drains(std::move(drains));
}

result<std::vector<client::reserved_chunk>> sim_client::take_reserved(volume_id volume, std::uint32_t wanted,
                                                                      bool briefly) {
  using taken = result<std::vector<client::reserved_chunk>>;
  client::chunk_wait wait;
  auto got = wait_until<taken>([&]() -> std::optional<taken> {
    auto some = machine_.take_reserved(volume, wanted, wait);
    if (some && some->empty() && !briefly) return std::nullopt;
    return some;
  });
  sometimes(probe::store_full, !got && got.error().code == errc::no_space);
  sometimes(probe::fewer_reserved_than_wanted, got && got->size() < wanted);
  return got;
}

void sim_client::return_unused(std::span<const client::reserved_chunk> chunks) {
  sometimes(probe::chunks_returned_unused);
  wait_until<bool>([&] { return machine_.return_unused(chunks), std::optional(true); });
}

result<wire::committed> sim_client::commit(wire::commit what) {
  if (before_commit) before_commit(what);
  const client::ticket t = machine_.commit(std::move(what));
  auto answer = answer_of<wire::committed>(t);
  if (!answer) return answer;
  sometimes(probe::commit_of_old_epoch, answer->stale_epoch);
  for (const auto &outcome : answer->outcomes) {
    sometimes(probe::copy_used, outcome.fate == wire::copy_fate::used);
    sometimes(probe::copy_lost_a_race, outcome.fate == wire::copy_fate::back && outcome.unshared);
    sometimes(probe::copy_taken_already, outcome.fate == wire::copy_fate::taken);
  }
  return answer;
}

result<client::read_plan> sim_client::begin_read(volume_id volume, snapshot_number number, chunk_no first,
                                                 std::uint64_t count) {
  auto plan = wait_until<client::read_plan>([&]() -> std::optional<client::read_plan> {
    auto p = machine_.begin_read(volume, number, first, count, now());
    if (p.what == read_state::wait) return std::nullopt;
    return p;
  });
  sometimes(probe::snapshot_gone_while_read, plan.what == read_state::gone);
  for (const auto &place : plan.places) {
    sometimes(probe::snapshot_chunk_in_origin, place.kind == wire::place_kind::origin);
    sometimes(probe::snapshot_chunk_in_store, place.kind == wire::place_kind::store);
    sometimes(probe::snapshot_chunk_zero, place.kind == wire::place_kind::zero);
  }
  return plan;
}

bool sim_client::finish_read(volume_id volume, snapshot_number number, chunk_no first,
                             const client::read_plan &plan) {
  if (machine_.watch().still_holds(plan.seen, now())) return true;
  const bool counts = machine_.finish_read(volume, number, first, plan, now());
  sometimes(probe::read_must_be_repeated, !counts);
  return counts;
}

result<wire::diff_reply> sim_client::diff(volume_id volume, snapshot_number older, snapshot_number newer,
                                          chunk_no first) {
  wire::diff what;
  what.id = volume;
  what.older_number = older;
  what.newer_number = newer;
  what.first = first;
  return answer_of<wire::diff_reply>(machine_.request(std::move(what)));
}

result<wire::volume_opened> sim_client::open_volume(const std::string &name) {
  return answer_of<wire::volume_opened>(machine_.open_volume(name));
}

result<wire::snapshot_opened> sim_client::open_snapshot(const std::string &volume,
                                                        const std::string &snapshot) {
  return answer_of<wire::snapshot_opened>(machine_.open_snapshot(volume, snapshot));
}

void sim_client::close_snapshot(volume_id volume, snapshot_number number) {
  wait_until<bool>([&] { return machine_.close_snapshot(volume, number), std::optional(true); });
}

result<wire::list_reply> sim_client::list(const wire::list &what) {
  return answer_of<wire::list_reply>(machine_.request(what));
}

std::vector<client::client_machine::drain> sim_client::take_drains() { return machine_.take_drains(); }

void sim_client::drained(barrier_id barrier) {
  wait_until<bool>([&] { return machine_.drained(barrier), std::optional(true); });
}

bool sim_client::say_goodbye(nanoseconds patience) {
  if (!machine_.has_session()) return true;
  const client::ticket t = machine_.goodbye();
  const nanoseconds end = world_.now() + patience;
  return wait_until<bool>([&]() -> std::optional<bool> {
    if (machine_.take_answer(t)) return true;
    if (world_.now() >= end) return false;
    return std::nullopt;
  });
}

}  // namespace csnap::simulation
