// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/client/write_gates.h"

#include <algorithm>

namespace csnap::client {

write_gate &write_gates::opened(const std::string &name, const wire::volume_opened &o,
                                std::uint64_t chunk_count) {
  write_gate &gate = gates_.try_emplace(o.id, name, o.id, chunk_count, planted_).first->second;
  if (gate.chunk_count() != chunk_count) {
    gate.mark_gone();  // another size: not the volume that the callers know
    return gate;
  }
  gate.opened(o);
  if (o.barrier != barrier_id{}) return gate;
  gate.thaw();
  for (auto &[id, b] : barriers_) std::erase(b.volumes, o.id);
  std::erase_if(barriers_, [](const auto &item) { return item.second.volumes.empty(); });
  return gate;
}

result<> write_gates::freeze(barrier_id id, std::span<const volume_id> volumes) {
  // A volume is in one barrier at a time, so more than there can be volumes is a peer gone wrong.
  if (barriers_.size() >= wire::volumes_max && !barriers_.contains(id))
    return fail(errc::invalid, "the server has too many barriers on");
  barrier &b = barriers_[id];
  for (const volume_id volume : volumes) {
    if (write_gate *gate = find(volume)) gate->freeze(id);
    if (std::find(b.volumes.begin(), b.volumes.end(), volume) != b.volumes.end()) continue;
    if (b.volumes.size() >= wire::group_size_max)
      return fail(errc::invalid, "a barrier with too many volumes");
    b.volumes.push_back(volume);
    b.reported = b.answered = false;
  }
  return {};
}

void write_gates::thaw(const wire::thaw &t) {
  barriers_.erase(t.barrier);
  for (const wire::thawed_volume &v : t.volumes)
    if (write_gate *gate = find(v.volume)) gate->barrier_ended(t.barrier, v.epoch, v.has_snapshots);
}

bool write_gates::is_drained(const barrier &b) {
  return planted_.no_drain || std::all_of(b.volumes.begin(), b.volumes.end(), [&](volume_id volume) {
           const write_gate *gate = find(volume);
           return gate == nullptr || gate->in_flight() == 0;
         });
}

std::vector<client_machine::drain> write_gates::take_drains() {
  std::vector<client_machine::drain> out;
  if (barriers_.empty()) return out;
  if (std::any_of(gates_.begin(), gates_.end(), [](const auto &g) { return !g.second.is_confirmed(); }))
    return out;
  for (auto &[id, b] : barriers_) {
    if (b.reported || !is_drained(b)) continue;
    b.reported = true;
    out.push_back({id, b.volumes});
  }
  return out;
}

bool write_gates::drained(barrier_id id) {
  const auto found = barriers_.find(id);
  if (found == barriers_.end() || !found->second.reported || found->second.answered) return false;
  found->second.answered = true;
  return true;
}

void write_gates::connection_lost(boottime_ms lease_until) {
  barriers_.clear();
  for (auto &[id, gate] : gates_) gate.connection_lost(lease_until);
}

void write_gates::session_lost() {
  barriers_.clear();
  for (auto &[id, gate] : gates_) gate.session_lost();
}

}  // namespace csnap::client
