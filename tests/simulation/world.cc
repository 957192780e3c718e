// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/world.h"

#include "metaserver/base/check.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <deque>
#include <utility>

namespace csnap::simulation {
namespace {

world *the_world = nullptr;

}  // namespace

// ---- processes ----

void process::thaw() {
  check(freezes_ > 0, "a thaw without a freeze");
  if (--freezes_ > 0) return;
  for (held &late : std::exchange(held_, {})) world_.after(0, this, std::move(late.what));
}

void process::kill() {
  if (!alive_) return;
  world_.say("%s dies", name_.c_str());
  alive_ = false;
  held_.clear();
  for (const auto &what : std::exchange(at_death, {})) what();
  io_ended();
}

void process::io_ended() {
  if (!gone()) return;
  for (auto &what : std::exchange(when_gone, {})) world_.after(0, nullptr, std::move(what));
}

fiber &process::start(std::function<void()> body) {
  fibers_.push_back(std::make_unique<fiber>(this, std::move(body)));
  fiber &made = *fibers_.back();
  made.is_waiting = true;
  world_.schedule_wake(world_.now(), made, false);
  return made;
}

// ---- the world ----

world::world(std::uint64_t seed) : seed_(seed), chance_(seed_.stream("schedule")) { the_world = this; }

world::~world() {
  fiber::abandon_all();
  the_world = nullptr;
}

world *world::current() { return the_world; }

host &world::add_host() {
  hosts_.push_back(std::make_unique<host>());
  host &made = *hosts_.back();
  made.number = static_cast<unsigned>(hosts_.size());
  made.boot.bytes[0] = static_cast<std::byte>(made.number);
  made.boot.bytes[1] = std::byte{1};
  return made;
}

process &world::add_process(host &where, std::string name) {
  processes_.push_back(std::make_unique<process>(*this, where, std::move(name), ++last_pid_));
  return *processes_.back();
}

void world::at(nanoseconds when, process *whose, std::function<void()> what) {
  heap_.push_back({std::max(when, now_), ++last_number_, whose, std::move(what)});
  std::push_heap(heap_.begin(), heap_.end());
}

bool world::run_until(nanoseconds end, const std::function<bool()> &done) {
  while (!heap_.empty() && heap_.front().when <= end && !done()) {
    std::pop_heap(heap_.begin(), heap_.end());
    event next = std::move(heap_.back());
    heap_.pop_back();
    now_ = next.when;
    if (next.whose != nullptr && !next.whose->alive()) continue;
    if (next.whose != nullptr && next.whose->frozen()) {
      next.whose->held_.push_back({std::move(next.what)});
      continue;
    }
    note(static_cast<std::uint64_t>(now_) * 31 + next.number);
    if (++events_ > events_max) return false;
    next.what();
  }
  if (!done()) now_ = std::max(now_, end);
  return true;
}

// ---- fibers ----

void world::schedule_wake(nanoseconds when, fiber &whom, bool is_timeout) {
  at(when, whom.owner(),
     [this, &whom, number = whom.wait_number, is_timeout] { resume_waiting(whom, number, is_timeout); });
}

void world::resume_waiting(fiber &whom, std::uint64_t wait_number, bool is_timeout) {
  if (!whom.is_waiting || whom.wait_number != wait_number || whom.ended()) return;
  whom.is_waiting = false;
  whom.timed_out = is_timeout;
  whom.resume();
}

void world::sleep(nanoseconds how_long) {
  fiber &self = *fiber::current();
  ++self.wait_number;
  self.is_waiting = true;
  schedule_wake(now_ + how_long, self, true);
  fiber::suspend();
}

bool world::wait(nanoseconds timeout) {
  fiber &self = *fiber::current();
  ++self.wait_number;
  self.is_waiting = true;
  if (timeout > 0) schedule_wake(now_ + timeout, self, true);
  fiber::suspend();
  return !self.timed_out;
}

// A little later: other threads, and the processor, take their time.
void world::wake(fiber &whom) {
  if (whom.is_waiting)
    schedule_wake(now_ + static_cast<nanoseconds>(chance_.below(20)) * microsecond, whom, false);
}

void world::park() {
  fiber &self = *fiber::current();
  ++self.wait_number;
  self.is_waiting = true;
  fiber::suspend();
  unreachable("a parked fiber was resumed");
}

void world::maybe_switch() {
  if (switch_per_mille == 0 || fiber::current() == nullptr || !chance_.per_mille(switch_per_mille)) return;
  sleep(static_cast<nanoseconds>(chance_.below(200)) * microsecond);
}

void world::say(const char *format, ...) {
  if (!verbose) return;
  std::printf("%10.3f ms  ", static_cast<double>(now_) / millisecond);
  va_list arguments;
  va_start(arguments, format);
  std::vprintf(format, arguments);
  va_end(arguments);
  std::printf("\n");
}

// ---- mailboxes ----

struct mailbox::shared {
  std::deque<std::function<void()>> waiting;
  fiber *worker = nullptr;
  bool idle = false;
};

mailbox::mailbox(world &w, process &owner) : shared_(std::make_shared<shared>()) {
  fiber &worker = owner.start([&w, box = shared_] {
    for (unsigned handled = 1;; ++handled) {
      if (handled % 64 == 0) w.sleep(microsecond);  // work takes time: nobody turns in circles for ever
      while (box->waiting.empty()) {
        box->idle = true;
        w.wait();
        box->idle = false;
      }
      auto next = std::move(box->waiting.front());
      box->waiting.pop_front();
      next();
    }
  });
  shared_->worker = &worker;
}

void mailbox::post(std::function<void()> what) {
  shared_->waiting.push_back(std::move(what));
  if (shared_->idle) world::current()->wake(*shared_->worker);
}

}  // namespace csnap::simulation
