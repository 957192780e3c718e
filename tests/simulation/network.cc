// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/network.h"

#include "tests/simulation/probes.h"

#include <algorithm>
#include <utility>

namespace csnap::simulation {
namespace {

constexpr nanoseconds connect_timeout = 2 * second;
constexpr nanoseconds try_again = 5 * millisecond;

}  // namespace

nanoseconds network::some_latency() {
  if (habits.slow_per_mille > 0 && chance_.per_mille(habits.slow_per_mille))
    return chance_.between(habits.latency_max, habits.slow_max);
  return chance_.between(habits.latency_min, habits.latency_max);
}

void network::connect(process &from, mailbox &box, const std::string &place, const std::string &address,
                      std::function<void(pipe_ptr)> opened, std::function<void()> failed) {
  const auto fail_after = [&, failed](nanoseconds delay) {
    world_.after(delay, &from, [&box, failed] { box.post(failed); });
  };
  if (is_cut(place, address) || is_cut(address, place)) {
    sometimes(probe::connect_timed_out);
    return fail_after(connect_timeout);
  }
  const auto found = listeners_.find(address);
  if (found == listeners_.end() || !found->second.owner->alive()) {
    sometimes(probe::connect_refused);
    return fail_after(some_latency());
  }
  listener &there = found->second;
  sometimes(probe::connected_to_frozen, there.owner->frozen());
  auto near = std::make_shared<pipe_end>(), far = std::make_shared<pipe_end>();
  near->net_ = far->net_ = this;
  near->owner_ = &from, far->owner_ = there.owner;
  near->box_ = &box, far->box_ = there.box;
  near->place_ = place, far->place_ = address;
  near->peer_ = far, far->peer_ = near;
  ends_.push_back(near), ends_.push_back(far);
  for (const pipe_ptr &end : {near, far}) {
    end->owner_->at_death.push_back([weak = std::weak_ptr(end)] {
      if (const auto alive = weak.lock()) alive->close();
    });
  }
  const nanoseconds until_accepted = latency(place, address);
  far->last_ready_ = world_.now() + until_accepted;  // nothing arrives before it
  world_.after(until_accepted, there.owner, [&there, far] {
    if (far->open_) there.box->post([&there, far] { there.accept(far); });
  });
  world_.after(latency(address, place), &from,
               [&box, near, opened] { box.post([near, opened] { opened(near); }); });
}

void network::lose_some(unsigned per_mille) {
  std::erase_if(ends_, [](const auto &weak) { return weak.expired(); });
  for (const auto &weak : ends_) {
    const auto end = weak.lock();
    if (!end || !end->open_ || !chance_.per_mille(per_mille)) continue;
    sometimes(probe::connection_lost);
    if (!end->arriving_.empty()) {
      sometimes(probe::connection_lost_with_bytes_under_way);
      auto &last = end->arriving_.back();
      last.bytes.resize(chance_.below(last.bytes.size() + 1));
    }
    end->lose(chance_.between(0, 2) * millisecond);
    const nanoseconds noticed_after = chance_.one_in(4) ? chance_.between(0, 2 * second) : millisecond;
    if (const auto peer = end->peer_.lock()) peer->lose(noticed_after);
  }
}

void network::lose_all_of(const std::string &place) {
  for (const auto &weak : ends_) {
    const auto end = weak.lock();
    if (!end || !end->open_ || end->place_ != place) continue;
    sometimes(probe::connection_lost);
    end->lose(0);
    if (const auto peer = end->peer_.lock()) peer->lose(millisecond);
  }
}

void network::arrive_later(const pipe_ptr &at, nanoseconds delay) {
  world_.after(delay, at->owner_, [at] { at->deliver(); });
}

// ---- one side ----

void pipe_end::send(std::vector<std::byte> bytes) {
  const auto peer = peer_.lock();
  if (!open_ || !peer || !peer->open_ || bytes.empty()) return;
  network &net = *net_;
  nanoseconds ready = net.world_.now() + net.latency(place_, peer->place_);
  if (net.habits.swaps_messages && !peer->arriving_.empty() && net.chance_.one_in(4)) {
    peer->arriving_.push_front({ready, std::move(bytes), false});
    return net.arrive_later(peer, ready - net.world_.now());
  }
  ready = peer->last_ready_ = std::max(ready, peer->last_ready_);
  const bool loses = net.lost_per_million > 0 && net.chance_.below(1000000) < net.lost_per_million;
  if (loses) {
    sometimes(probe::connection_lost_in_a_message);
    bytes.resize(net.chance_.below(bytes.size() + 1));
    peer->arriving_.push_back({ready, std::move(bytes), false});
    net.arrive_later(peer, ready - net.world_.now());
    peer->lose(ready - net.world_.now() + millisecond);
    lose(net.chance_.between(0, 20) * millisecond);
    return;
  }
  if (bytes.size() > 1 && net.chance_.per_mille(net.habits.split_per_mille)) {
    const auto half = static_cast<std::ptrdiff_t>(net.chance_.below(bytes.size() - 1) + 1);
    peer->arriving_.push_back({ready, {bytes.begin(), bytes.begin() + half}, false});
    net.arrive_later(peer, ready - net.world_.now());
    bytes.erase(bytes.begin(), bytes.begin() + half);
    ready = peer->last_ready_ = ready + net.some_latency();
  }
  peer->arriving_.push_back({ready, std::move(bytes), false});
  net.arrive_later(peer, ready - net.world_.now());
}

void pipe_end::deliver() {
  if (!open_ || arriving_.empty()) return;
  const auto peer = peer_.lock();
  if (peer && net_->is_cut(peer->place_, place_)) {
    sometimes(probe::bytes_waited_for_a_cut);
    return net_->arrive_later(shared_from_this(), try_again);
  }
  std::vector<std::byte> bytes;
  bool is_end = false;
  while (!arriving_.empty() && arriving_.front().ready <= net_->world_.now()) {
    const segment &next = arriving_.front();
    bytes.insert(bytes.end(), next.bytes.begin(), next.bytes.end());
    is_end = is_end || next.is_end;
    arriving_.pop_front();
  }
  if (!bytes.empty()) {
    net_->world_.note(bytes.size());
    box_->post([self = shared_from_this(), bytes = std::move(bytes)] {
      if (self->open_ && self->on_bytes) self->on_bytes(bytes);
    });
  }
  if (is_end) lose(0);
}

void pipe_end::lose(nanoseconds delay) {
  net_->world_.after(delay, owner_, [self = shared_from_this()] {
    self->box_->post([self] {
      if (!std::exchange(self->open_, false)) return;
      const auto closed = std::exchange(self->on_closed, nullptr);
      self->on_bytes = nullptr;
      if (closed) closed();
    });
  });
}

void pipe_end::close() {
  if (!std::exchange(open_, false)) return;
  on_bytes = nullptr;
  on_closed = nullptr;
  const auto peer = peer_.lock();
  if (!peer || !peer->open_) return;
  if (net_->chance_.one_in(2)) {
    sometimes(probe::reset_threw_bytes_away, !peer->arriving_.empty());
    peer->arriving_.clear();
  }
  const nanoseconds ready = peer->last_ready_ =
      std::max(net_->world_.now() + net_->latency(place_, peer->place_), peer->last_ready_);
  peer->arriving_.push_back({ready, {}, true});
  net_->arrive_later(peer, ready - net_->world_.now());
}

void pipe_end::close_when_sent() {
  if (!std::exchange(open_, false)) return;
  on_bytes = nullptr;
  on_closed = nullptr;
  const auto peer = peer_.lock();
  if (!peer || !peer->open_) return;
  const nanoseconds ready = peer->last_ready_ =
      std::max(net_->world_.now() + net_->latency(place_, peer->place_), peer->last_ready_);
  peer->arriving_.push_back({ready, {}, true});
  net_->arrive_later(peer, ready - net_->world_.now());
}

}  // namespace csnap::simulation
