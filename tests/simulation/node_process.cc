// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/node_process.h"

#include "metaserver/store/offline.h"
#include "tests/simulation/probes.h"

#include <algorithm>

namespace csnap::simulation {

node_process::node_process(world &w, network &net, judge &j, process &self, node_setup setup,
                           std::function<void()> ready)
    : world_(w),
      net_(net),
      judge_(j),
      self_(self),
      setup_(std::move(setup)),
      ready_(std::move(ready)),
      store_device_(*setup_.store, self),
      volumes_(setup_.origins.size()) {
  for (disk *each : setup_.origins) origins_.push_back(std::make_unique<device>(*each, self));
  self.start([this] { begin(); });
}

// As nbdkit's start: what cannot be read ends the process, and somebody starts it again.
void node_process::begin() {
  const auto label = store::read_label(store_device_);
  if (!label) {
    self_.kill();
    world_.park();
  }
  wire::welcome layout;
  layout.store = label->shape.store;
  layout.chunk_bytes = label->shape.chunk_bytes;
  layout.chunks_offset_bytes = label->shape.chunks_offset_bytes;
  layout.chunk_count = label->shape.chunk_count;
  store_ = std::make_unique<plugin::chunk_store>(store_device_, layout);

  client_setup c;
  c.place = setup_.place;
  c.servers = setup_.servers;
  c.time_is_monotonic = setup_.time_is_monotonic;
  c.machine.node = self_.where().name();
  c.machine.boot = self_.where().boot;
  c.machine.pid = self_.pid();
  c.machine.process_start = self_.started();
  c.machine.io_ends_with_process = setup_.io_ends_with_process;
  c.machine.secret.bytes[0] = static_cast<std::byte>(self_.pid());
  c.machine.secret.bytes[1] = static_cast<std::byte>(self_.pid() >> 8);
  c.machine.secret.bytes[2] = std::byte{1};
  c.machine.reserve_chunks = setup_.reserve_chunks;
  c.machine.map_cache_bytes = 0;
  c.machine.maps_min = setup_.maps_min;
  c.machine.planted = setup_.planted_in_machine;
  c.on_change = [this] { drain_.look_again(); };
  c.on_message = [this](const wire::envelope &what) {
    if (std::holds_alternative<wire::reserved>(what.body) && setup_.on_granted) setup_.on_granted();
  };
  c.on_drains = [this](std::vector<plugin::barrier_drain::drain> drains) { drain_.add(std::move(drains)); };
  client_ = std::make_unique<sim_client>(world_, net_, self_, std::move(c));
  client_->before_commit = [this](const wire::commit &what) {
    // I15: what was written since the last good flush may be lost; no copy of this process is to be believed.
    const nanoseconds failed = store_device_.first_flush_failure;
    bool has_copies = false;
    for (const auto &e : what.entries) has_copies = has_copies || !e.place.is_zero();
    if (failed >= 0 && failed < world_.now() && has_copies)
      judge_.wrong("fail-stop", "a copy is committed after a flush of the store failed");
    if (has_copies && setup_.on_commit) setup_.on_commit(what.volume);
    return true;
  };

  plugin::barrier_drain::hooks d;
  d.take_drains = [this] { return client_->take_drains(); };
  d.flush_origin = [this](volume_id volume) { return origin(volume).flush(); };
  d.drained = [this](barrier_id barrier) {
    world_.say("%s has drained for barrier %llu", self_.name().c_str(),
               static_cast<unsigned long long>(barrier.value));
    client_->drained(barrier);
  };
  d.log = [this](const std::string &text) {
    sometimes(probe::barrier_flush_failed);
    world_.say("%s: %s", self_.name().c_str(), text.c_str());
  };
  drain_.start(std::move(d));
  is_ready_ = true;
  ready_();
}

result<> node_process::write(volume_id id, const std::function<result<>(plugin::origin_io &)> &op) {
  opened_volume &v = volumes_[id.value - 1];
  if (!v.is_open)
    if (auto r = ensure_open(id); !r) return r;
  const auto outcome = op(v.out->io);
  if (!outcome && outcome.error().code == errc::gone) v.is_open = false;
  return outcome;
}

result<> node_process::ensure_open(volume_id id) {
  opened_volume &v = volumes_[id.value - 1];
  while (v.is_opening) world_.sleep(millisecond);
  if (v.is_open) return {};
  v.is_opening = true;
  const auto opened = client_->open_volume(id.value == 1 ? "a" : "b");
  v.is_opening = false;
  if (!opened) return opened.error();
  if (!v.out) v.out = std::make_unique<writer>(*this, id);
  v.is_open = true;
  return {};
}

bool node_process::saw_failed_flush() const {
  return store_device_.first_flush_failure >= 0 ||
         std::any_of(origins_.begin(), origins_.end(),
                     [](const auto &o) { return o->first_flush_failure >= 0; });
}

bool node_process::leave() {
  if (!client_) return true;  // it has not got as far as a session
  for (std::size_t i = 0; i < volumes_.size(); ++i) {
    opened_volume &v = volumes_[i];
    v.is_open = false;
    const bool was_written = v.out != nullptr;
    v.out.reset();
    if (was_written && !origin(volume_id{static_cast<std::uint32_t>(i + 1)}).flush()) return false;
  }
  drain_.stop();
  const bool answered = client_->say_goodbye(5 * second);
  sometimes(probe::node_left_cleanly, answered);
  return answered;
}

}  // namespace csnap::simulation
