// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/core/model_client.h"

#include <algorithm>
#include <stdexcept>

namespace csnap::test {

namespace {

const volume_id volume{1};
constexpr std::uint64_t segment_of(std::uint64_t chunk) { return chunk / wire::segment_chunks; }

}  // namespace

model_client::model_client(test_server &server, model_world &world, std::uint32_t pid,
                           std::mt19937_64 &random)
    : server_(server), world_(world), random_(random), pid_(pid) {}

void model_client::void_promises() {
  maps_.clear();
  snapshots_.clear();
  if (read_) read_->touched = true;
}

void model_client::say_hello() {
  void_promises();  // rule 3: before the hello
  connection_ = server_.connect();
  welcomed_ = gone_ = renewing_ = opening_ = reserving_ = mapping_ = opening_snapshot_ = false;
  up_.clear();
  waiting_.clear();
  if (copy_) copy_->sent = false;  // sent again when welcomed
  wire::hello h;
  h.role = wire::client_role::node;
  h.resume = session_;
  h.secret.bytes[0] = static_cast<std::byte>(pid_);
  h.node = "n";
  h.pid = pid_;
  const auto sent = server_.now;
  request(h, [this, sent](const wire::message &m) {
    const auto *w = std::get_if<wire::welcome>(&m);
    if (!w) throw std::runtime_error("a living session was refused: " + std::get<wire::failed>(m).text);
    session_ = w->session;
    welcomed_ = true;
    lease_end_.value = sent.value + w->lease_ms;
    opened_ = false;
  });
}

void model_client::queue(wire::message what) { up_.push_back({0, {}, std::move(what)}); }

void model_client::request(wire::message what, std::function<void(const wire::message &)> then) {
  waiting_[++last_request_] = std::move(then);
  up_.push_back({last_request_, {}, std::move(what)});
}

void model_client::deliver_one() {
  if (up_.empty()) return;
  const auto what = up_.front();
  up_.pop_front();
  server_.deliver(connection_, what);
}

void model_client::receive_one() {
  if (paused || deaf) return;
  auto &in = server_.inbox[connection_];
  if (in.empty()) return;
  const auto got = std::move(in.front());
  in.pop_front();
  if (got.request == 0) return on_push(got.body);
  const auto found = waiting_.find(got.request);
  if (found == waiting_.end()) return;
  const auto then = std::move(found->second);
  waiting_.erase(found);
  const auto *f = std::get_if<wire::failed>(&got.body);
  if (f && f->code == errc::gone && welcomed_) gone_ = true;
  then(got.body);
}

void model_client::disconnect() {
  if (connection_.value && !server_.hung_up.contains(connection_)) server_.lose(connection_);
}

void model_client::die() {
  if (write_in_flight_ && random_() % 2) world_.origin[*write_in_flight_] = ++world_.last_content;
  disconnect();
  if (session_.value) server_.died(session_);
}

void model_client::step() {
  if (paused) return;
  const bool lost = connection_.value == 0 || server_.hung_up.contains(connection_) || gone_;
  if (lost) {
    disconnect();
    return say_hello();
  }
  if (welcomed_) renew_if_due();
  answer_freeze_if_drained();
  if (random_() % 2) work_on_writes();
  else work_on_reads();
}

void model_client::renew_if_due() {
  if (renewing_ || lease_end_.value - server_.now.value > test_lease_ms * 2 / 3) return;
  renewing_ = true;
  request(wire::renew{}, [this, sent = server_.now](const wire::message &m) {
    renewing_ = false;
    if (const auto *r = std::get_if<wire::renewed>(&m)) lease_end_.value = sent.value + r->lease_ms;
  });
}

void model_client::opened(const wire::volume_opened &v) {
  opened_ = true;
  set_epoch(v.epoch, v.has_snapshots);
  frozen_ = v.barrier.value != 0;
  barrier_ = v.barrier;
  owes_freeze_answer_ = frozen_;
}

void model_client::set_epoch(const epoch_id &epoch, bool has_snapshots) {
  if (epoch != epoch_) unshared_.clear();
  epoch_ = epoch;
  if (!has_snapshots) unshared_.insert(world_.chunks.begin(), world_.chunks.end());
}

void model_client::work_on_writes() {
  if (write_in_flight_) {
    if (random_() % 2) return;  // it takes its time, with or without a lease
    world_.origin[*write_in_flight_] = ++world_.last_content;
    ++world_.writes;
    write_in_flight_.reset();
    return;
  }
  if (copy_ && !copy_->sent) return send_commit();
  if (welcomed_ && !opened_ && !opening_) {
    opening_ = true;
    return request(wire::open_volume{"a", {}}, [this](const wire::message &m) {
      opening_ = false;
      if (const auto *v = std::get_if<wire::volume_opened>(&m)) opened(*v);
    });
  }
  begin_write();
}

// The critical section of a write: lease, no barrier, known unshared, counted in flight.
void model_client::begin_write() {
  if (frozen_ || !lease_valid()) return;
  if (!copy_ && random_() % 2) wanted_ = any_chunk();
  const std::uint64_t chunk = wanted_;
  if (unshared_.contains(chunk)) write_in_flight_ = chunk;
  else if (!copy_) begin_copy(chunk);
}

void model_client::begin_copy(std::uint64_t chunk) {
  if (!welcomed_ || !opened_) return;
  if (random_() % 8 == 0)
    return request(wire::unshared_query{volume, epoch_, chunk_no{chunk}, 1},
                   [this, chunk, epoch = epoch_](const wire::message &m) {
                     const auto *map = std::get_if<wire::unshared_map>(&m);
                     if (map && !map->stale_epoch && epoch == epoch_ && map->bits[0]) unshared_.insert(chunk);
                   });
  if (pool_.empty()) {
    if (std::exchange(reserving_, true)) return;
    return request(wire::reserve{4, newest_reservation_}, [this](const wire::message &m) {
      reserving_ = false;
      const auto *r = std::get_if<wire::reserved>(&m);
      if (r) newest_reservation_ = r->id;
      for (std::uint32_t i = 0; r && i < r->count; ++i)
        pool_.push_back({r->id, store_chunk{r->first.value + i}});
    });
  }
  copy_ = copy{chunk, epoch_, pool_.back().first, pool_.back().second, world_.origin[chunk]};
  pool_.pop_back();
}

void model_client::send_commit() {
  if (!copy_->stored) {
    world_.store[copy_->place.value] = copy_->content;
    copy_->stored = true;
    return;
  }
  if (!welcomed_ || !opened_) return;
  copy_->sent = true;
  request(wire::commit{volume, copy_->epoch, {{chunk_no{copy_->chunk}, copy_->reservation, copy_->place}}},
          [this](const wire::message &m) { on_committed(m); });
}

void model_client::on_committed(const wire::message &m) {
  const auto *c = std::get_if<wire::committed>(&m);
  if (!c) {
    copy_->sent = false;
    return;
  }
  if (c->outcomes[0].fate == wire::copy_fate::back) pool_.push_back({copy_->reservation, copy_->place});
  if (c->outcomes[0].unshared && copy_->epoch == epoch_) unshared_.insert(copy_->chunk);
  ++world_.copies;
  copy_.reset();
}

void model_client::work_on_reads() {
  if (read_ && read_->done) return end_read();
  if (read_) {
    const auto &p = read_->place;
    const bool in_store = p.kind == wire::place_kind::store;
    read_->content = in_store ? world_.store[p.first.value] : world_.origin[read_->chunk];
    read_->done = true;
    return;
  }
  if (!welcomed_) return;
  if (random_() % 16 == 0 || snapshots_.empty()) {
    if (world_.truth.empty() || std::exchange(opening_snapshot_, true)) return;
    auto which = world_.truth.begin();
    std::advance(which, static_cast<std::int64_t>(random_() % world_.truth.size()));
    return request(wire::open_snapshot{"", "", volume, which->first}, [this](const wire::message &m) {
      opening_snapshot_ = false;
      if (const auto *o = std::get_if<wire::snapshot_opened>(&m)) snapshots_.insert(o->number);
    });
  }
  begin_read();
}

void model_client::begin_read() {
  auto which = snapshots_.begin();
  std::advance(which, static_cast<std::int64_t>(random_() % snapshots_.size()));
  const snapshot_number number = *which;
  const std::uint64_t chunk = any_chunk();
  auto &map = maps_[number];
  if (const auto found = map.find(chunk); found != map.end()) {
    read_ = running_read{number, chunk, found->second, false, false, 0};
    return;
  }
  if (std::exchange(mapping_, true)) return;
  const std::uint64_t first = segment_of(chunk) * wire::segment_chunks;
  request(wire::map{volume, number, chunk_no{first}}, [this, number, first](const wire::message &m) {
    mapping_ = false;
    const auto *r = std::get_if<wire::map_reply>(&m);
    if (!r || !snapshots_.contains(number)) return;
    std::uint64_t at = first;
    for (auto run : r->runs)
      for (; run.count; --run.count, ++run.first.value, ++at) maps_[number][at] = {1, run.kind, run.first};
  });
}

// The check after the read: only then does it count.
void model_client::end_read() {
  const running_read done = *read_;
  read_.reset();
  if (done.touched || !lease_valid() || !snapshots_.contains(done.number)) return;
  ++world_.reads;
  const auto truth = world_.truth.find(done.number);
  if (truth == world_.truth.end()) throw std::runtime_error("a read of a snapshot that is not there");
  if (truth->second.at(done.chunk) != done.content)
    throw std::runtime_error("snapshot " + std::to_string(done.number.value) + ", chunk " +
                             std::to_string(done.chunk) + ": read " + std::to_string(done.content) +
                             ", not " + std::to_string(truth->second.at(done.chunk)));
}

void model_client::on_recall(const wire::recall &r) {
  ++world_.recalls;
  for (const auto &e : r.entries) {
    if (read_ && read_->chunk == e.chunk.value) read_->touched = true;
    for (auto &[number, map] : maps_) {
      const auto found = map.find(e.chunk.value);
      if (number <= e.number && found != map.end() && found->second.kind == wire::place_kind::origin)
        found->second = {1, wire::place_kind::store, e.place};
    }
  }
  queue(wire::recall_answer{r.id});
}

void model_client::on_push(const wire::message &m) {
  if (const auto *r = std::get_if<wire::recall>(&m)) on_recall(*r);
  if (const auto *g = std::get_if<wire::snapshot_gone>(&m)) {
    snapshots_.erase(g->number);
    maps_.erase(g->number);
    queue(wire::snapshot_gone_answer{g->volume, g->number});
  }
  if (const auto *f = std::get_if<wire::freeze>(&m)) {
    frozen_ = owes_freeze_answer_ = true;
    barrier_ = f->barrier;
  }
  if (const auto *t = std::get_if<wire::thaw>(&m); t && t->barrier == barrier_ && frozen_ && opened_) {
    set_epoch(t->volumes[0].epoch, t->volumes[0].has_snapshots);
    frozen_ = owes_freeze_answer_ = false;
  }
}

// Rule 4: nothing issued is in flight; copies and commits need not end.
void model_client::answer_freeze_if_drained() {
  if (!welcomed_ || !owes_freeze_answer_ || write_in_flight_) return;
  owes_freeze_answer_ = false;
  queue(wire::freeze_answer{barrier_});
}

}  // namespace csnap::test
