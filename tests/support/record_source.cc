// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/base/check.h"
#include "metaserver/base/names.h"
#include "metaserver/store/offline.h"
#include "metaserver/store/slot_blocks.h"
#include "metaserver/store/superblock_blocks.h"
#include "tests/support/store_model.h"

#include <algorithm>

namespace csnap::test {

using namespace store;

geometry tiny_geometry() {
  geometry g;
  g.store.bytes.fill(std::byte{0x5a});
  g.restore_generation = 1;
  g.chunk_bytes = 65536;
  g.node_count = 2;
  g.slots_offset_bytes = superblock_copies * block_bytes;
  g.logs_offset_bytes = g.slots_offset_bytes + g.node_count * blocks_per_slot * block_bytes;
  g.log_blocks = 48;
  g.pages_offset_bytes = g.logs_offset_bytes + g.node_count * g.log_blocks * block_bytes;
  g.page_count = 768;
  g.separate_metadata = true;
  g.chunks_offset_bytes = 65536;
  g.chunk_count = 70000;
  return g;
}

void make_tiny_store(memory_device &metadata, const geometry &shape) {
  const auto must = [](const auto &done) { check(done.has_value(), "making a tiny store"); };
  must(run_writes(metadata, superblock_writes(shape, device_role::metadata, format_state::ready),
                  durability::durable));
  for (std::uint32_t node = 0; node < shape.node_count; ++node)
    must(run_writes(metadata, initial_slot_writes(shape, node), durability::durable));
}

unique_id record_source::draw_id() {
  unique_id id;
  for (std::byte &b : id.bytes) b = static_cast<std::byte>(random_() & 0xff);
  return id;
}

record record_source::open_session(const engine &e) {
  session_info s;
  s.id = session_id{e.last_session_id().value + 1};
  s.secret = draw_id();
  s.node = "node" + std::to_string(below(4));
  s.boot = draw_id();
  s.pid = static_cast<std::uint32_t>(below(30000));
  s.lease_ms = 5000;
  return session_opened{s};
}

record record_source::create(const engine &e) {
  snapshots_created c;
  c.request = draw_id();
  c.number = snapshot_number{e.last_snapshot_number().value + 1};
  c.epoch_nonce = random_();
  c.created_unix_ms = static_cast<std::int64_t>(below(1u << 30));
  c.priority = static_cast<std::int32_t>(below(5)) - 2;
  for (const auto &[id, v] : e.volumes())
    if (c.members.empty() || below(2) == 0) c.members.push_back({id, "s" + std::to_string(c.number.value)});
  return c;
}

record record_source::reserve(const engine &e) {
  auto at = e.sessions().begin();
  std::advance(at, static_cast<std::ptrdiff_t>(below(e.sessions().size())));
  const auto found = e.find_free_chunks(static_cast<std::uint32_t>(1 + below(300)));
  check(found.has_value(), "the tiny store is full");
  return chunks_reserved{reservation_id{e.last_reservation_id().value + 1}, at->first, found->first,
                         found->second};
}

std::optional<record> record_source::add_exceptions(engine &e) {
  if (e.reservations().empty() || e.last_snapshot_number().value == 0) return std::nullopt;
  auto at = e.reservations().begin();
  std::advance(at, static_cast<std::ptrdiff_t>(below(e.reservations().size())));
  const reservation_info &from = at->second;
  exceptions_added x;
  auto volume = e.volumes().begin();
  std::advance(volume, static_cast<std::ptrdiff_t>(below(e.volumes().size())));
  x.volume = volume->first;
  x.number = volume->second.epoch.number;
  if (x.number.value == 0) return std::nullopt;
  x.session = from.session;
  std::uint64_t unit = 0;
  std::set<std::uint64_t> seen;
  const std::uint64_t start = below(volume_chunks_), wanted = 1 + below(64);
  const bool scattered = below(2) == 0;
  for (std::uint64_t i = 0; i < wanted; ++i) {
    const chunk_no chunk{scattered ? below(volume_chunks_) : (start + i) % volume_chunks_};
    const auto last = e.last_exception(x.volume, chunk);
    check(last.has_value(), "index must be readable");
    if ((*last && (*last)->number >= x.number) || !seen.insert(chunk.value).second) continue;
    if (below(8) == 0) {
      x.entries.push_back({chunk, {}, store_chunk::zero()});
      continue;
    }
    while (unit < from.count && !from.reserved[unit]) ++unit;
    if (unit == from.count) break;
    x.entries.push_back({chunk, from.id, store_chunk{from.first.value + unit++}});
  }
  if (x.entries.empty()) return std::nullopt;
  return x;
}

std::optional<record> record_source::change_snapshot(const engine &e) {
  std::vector<const snapshot_info *> all;
  for (const auto &[id, v] : e.volumes())
    for (const auto &[number, s] : e.snapshots(id))
      if (s.state != snapshot_state::dead) all.push_back(&s);
  if (all.empty()) return std::nullopt;
  const snapshot_info &s = *all[below(all.size())];
  if (s.state == snapshot_state::dying) return snapshot_died{s.volume, s.number};
  return change_live(s);
}

record record_source::change_live(const snapshot_info &s) {
  const std::uint64_t dice = below(8);
  if (dice == 0) return snapshot_renamed{draw_id(), s.volume, s.number, "r" + std::to_string(random_())};
  if (dice == 1)
    return snapshot_changed{draw_id(), s.volume, s.number, static_cast<std::int32_t>(below(9)) - 4};
  if (dice == 2 && s.holds.size() < holds_max)
    return snapshot_held{draw_id(), s.volume, s.number, "t" + std::to_string(random_())};
  if (!s.holds.empty())
    return snapshot_released{draw_id(), s.volume, s.number, s.holds[below(s.holds.size())]};
  return snapshot_deleted{draw_id(), s.volume, s.number, below(2) == 0};
}

record record_source::end_session(const engine &e) {
  session_closed r{e.sessions().begin()->first};
  for (const auto &[id, v] : e.volumes())
    if (below(3) == 0) r.unflushed.push_back(id);
  return r;
}

// A run of what a reservation still has.
std::optional<record> record_source::give_back(const engine &e) {
  if (e.reservations().empty()) return std::nullopt;
  auto at = e.reservations().begin();
  std::advance(at, static_cast<std::ptrdiff_t>(below(e.reservations().size())));
  const reservation_info &from = at->second;
  std::uint64_t first = 0;
  while (first < from.count && !from.reserved[first]) ++first;
  std::uint64_t end = first;
  while (end < from.count && from.reserved[end] && end < first + 1 + below(40)) ++end;
  if (first == end) return std::nullopt;
  return chunks_returned{from.id, from.session, store_chunk{from.first.value + first},
                         static_cast<std::uint32_t>(end - first)};
}

std::optional<record> record_source::change_store(const engine &e) {
  if (below(2) == 0) {
    auto volume = e.volumes().begin();
    std::advance(volume, static_cast<std::ptrdiff_t>(below(e.volumes().size())));
    return volume_changed{draw_id(), volume->first, static_cast<full_policy>(1 + below(3))};
  }
  const std::uint64_t more = e.shape().chunk_count + 1 + below(3000);
  const bool device_may_stay = e.shape().separate_metadata;
  if (!device_may_stay || more > chunk_count_max(e.shape()) || more > 4 * tiny_geometry().chunk_count)
    return std::nullopt;
  return store_grown{more};
}

record record_source::reap(engine &e) {
  auto volume = e.volumes().begin();
  std::advance(volume, static_cast<std::ptrdiff_t>(below(e.volumes().size())));
  const chunk_no first = volume->second.reap_cursor;
  const auto span = e.plan_reap(volume->first, first, 50 + below(300));
  check(span.has_value(), "index must be readable");
  return reaped{volume->first, first, span->end, span->end_of_volume};
}

record record_source::next(engine &e) {
  if (e.volumes().size() < 3) {
    volume_info v;
    v.id = volume_id{static_cast<std::uint32_t>(e.volumes().size() + 1)};
    v.name = "vol" + std::to_string(v.id.value);
    v.device = "/dev/disk" + std::to_string(v.id.value);
    v.size_bytes = volume_chunks_ * 65536;
    return volume_added{v};
  }
  if (e.sessions().empty()) return open_session(e);
  for (;;) {
    const std::uint64_t dice = below(100);
    std::optional<record> r;
    if (dice < 4) return create(e);
    if (dice < 7) return open_session(e);
    if (dice < 9 && e.sessions().size() > 3) return end_session(e);
    if (dice < 22 && e.reservations().size() < 12) return reserve(e);
    if (dice < 72) r = add_exceptions(e);
    else if (dice < 80) r = change_snapshot(e);
    else if (dice < 95) return reap(e);
    else if (dice < 97) r = give_back(e);
    else if (dice < 98) r = change_store(e);
    else if (dice < 99) {
      settings s;
      s.lease_ms = static_cast<std::uint32_t>(1000 + below(9000));
      return settings_changed{s};
    }
    if (r) return *r;
  }
}

}  // namespace csnap::test
