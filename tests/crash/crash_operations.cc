// SPDX-License-Identifier: BSD-3-Clause
#include "tests/crash/crash_operations.h"

#include "metaserver/base/check.h"

namespace csnap::test {

using namespace store;

namespace {

constexpr volume_id first_volume{1};

unique_id request_of(const engine &e) {
  unique_id id;
  const std::uint64_t n = e.last_appended().value + 1;
  for (std::size_t i = 0; i < 8; ++i) id.bytes[i] = static_cast<std::byte>(n >> (8 * i));
  return id;
}

const snapshot_info *first_in(const engine &e, snapshot_state state) {
  for (const auto &[number, s] : e.snapshots(first_volume))
    if (s.state == state) return &s;
  return nullptr;
}

std::optional<record> add_volume(engine &e) {
  volume_info v;
  v.id = volume_id{static_cast<std::uint32_t>(e.volumes().size() + 1)};
  v.name = "vol" + std::to_string(v.id.value);
  v.size_bytes = 10000 * 65536;
  return volume_added{v};
}
std::optional<record> change_settings(engine &e) {
  settings s = e.current_settings();
  ++s.lease_ms;
  return settings_changed{s};
}
std::optional<record> create(engine &e) {
  const std::uint64_t n = e.last_snapshot_number().value + 1;
  return snapshots_created{
      request_of(e), snapshot_number{n}, n * 7, 1, 0, {{first_volume, "s" + std::to_string(n)}}};
}
std::optional<record> rename(engine &e) {
  const auto *s = first_in(e, snapshot_state::live);
  if (s == nullptr) return std::nullopt;
  return snapshot_renamed{request_of(e), first_volume, s->number,
                          "r" + std::to_string(e.last_appended().value)};
}
std::optional<record> remove(engine &e) {
  const auto *s = first_in(e, snapshot_state::live);
  if (s == nullptr || !s->holds.empty()) return std::nullopt;
  return snapshot_deleted{request_of(e), first_volume, s->number, true};
}
std::optional<record> end_of_snapshot(engine &e) {
  const auto *s = first_in(e, snapshot_state::dying);
  if (s == nullptr) return std::nullopt;
  return snapshot_died{first_volume, s->number};
}
std::optional<record> copy_out(engine &e) {
  for (const auto &[id, r] : e.reservations())
    for (std::uint32_t i = 0; i < r.count; ++i) {
      if (!r.reserved[i]) continue;
      const snapshot_number number = e.volumes().at(first_volume).epoch.number;
      const std::uint64_t chunk = 200 + e.last_appended().value;
      return exceptions_added{first_volume,
                              number,
                              r.session,
                              {{chunk_no{chunk}, id, store_chunk{r.first.value + i}},
                               {chunk_no{chunk + 5000}, {}, store_chunk::zero()}}};
    }
  return std::nullopt;
}
std::optional<record> open_session(engine &e) {
  session_info s;
  s.id = session_id{e.last_session_id().value + 1};
  s.node = "node";
  s.lease_ms = 5000;
  return session_opened{s};
}
std::optional<record> close_session(engine &e) {
  if (e.sessions().empty()) return std::nullopt;
  return session_closed{e.sessions().rbegin()->first};
}
std::optional<record> reserve(engine &e) {
  const auto found = e.find_free_chunks(8);
  if (!found || e.sessions().empty()) return std::nullopt;
  return chunks_reserved{reservation_id{e.last_reservation_id().value + 1}, e.sessions().begin()->first,
                         found->first, found->second};
}
std::optional<record> reap(engine &e) {
  const chunk_no cursor = e.volumes().at(first_volume).reap_cursor;
  const auto span = e.plan_reap(first_volume, cursor, 30);
  check(span.has_value(), "index must be readable");
  return reaped{first_volume, cursor, span->end, span->end_of_volume};
}

// What a hold or a policy is changed by costs the same: a catalog entry.
std::optional<record> hold(engine &e) {
  const auto *s = first_in(e, snapshot_state::live);
  if (s == nullptr) return std::nullopt;
  if (!s->holds.empty()) return snapshot_released{request_of(e), first_volume, s->number, s->holds.front()};
  return snapshot_held{request_of(e), first_volume, s->number, "tag"};
}
std::optional<record> give_back(engine &e) {
  for (const auto &[id, r] : e.reservations())
    for (std::uint32_t i = 0; i < r.count; ++i)
      if (r.reserved[i]) return chunks_returned{id, r.session, store_chunk{r.first.value + i}, 1};
  return std::nullopt;
}
std::optional<record> grow(engine &e) {
  const std::uint64_t more = e.shape().chunk_count + 40000;  // another block of the map
  if (more > chunk_count_max(e.shape())) return std::nullopt;
  return store_grown{more};
}

geometry small_geometry() {
  geometry g = tiny_geometry();
  g.log_blocks = 32;
  g.pages_offset_bytes = g.logs_offset_bytes + g.node_count * g.log_blocks * block_bytes;
  g.page_count = 320;
  g.chunk_count = 2000;
  return g;
}

}  // namespace

const std::vector<operation> &all_operations() {
  static const std::vector<operation> all{
      {"volume", add_volume},   {"settings", change_settings},
      {"create", create},       {"rename", rename},
      {"delete", remove},       {"died", end_of_snapshot},
      {"copy-out", copy_out},   {"hello", open_session},
      {"close", close_session}, {"reserve", reserve},
      {"reap", reap},           {"hold", hold},
      {"give back", give_back}, {"grow", grow},
  };
  return all;
}

prepared_store prepare_store() {
  prepared_store out;
  out.shape = small_geometry();
  memory_device device(out.shape.pages_offset_bytes + out.shape.page_count * block_bytes);
  make_tiny_store(device, out.shape);
  auto opened = engine::take_over(device, {});
  check(opened.has_value(), "takeover of an empty store");
  engine &e = **opened;
  const auto add = [&](const std::optional<record> &r) {
    check(r && e.append(*r).has_value(), "preparing the store");
    out.model.apply(*r);
  };
  add(add_volume(e));
  for (int i = 0; i < 3; ++i) add(open_session(e));
  for (int i = 0; i < 4; ++i) {
    add(create(e));
    add(reserve(e));
    for (int k = 0; k < 7; ++k) add(copy_out(e));
  }
  for (int i = 0; i < 2; ++i) add(create(e));
  add(remove(e));
  add(remove(e));
  check(run_checkpoint(e, device).has_value(), "checkpoint");
  add(rename(e));
  check(run_log_batch(e, device).has_value(), "log");
  device.settle();
  out.bytes =
      std::make_shared<const std::vector<std::byte>>(device.content().begin(), device.content().end());
  return out;
}

}  // namespace csnap::test
