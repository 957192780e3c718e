// SPDX-License-Identifier: BSD-3-Clause
//
// A store that is wrong behind right checksums, as only a mistake of the engine could write it.
#pragma once

#include "metaserver/base/byte_writer.h"
#include "metaserver/store/slot_blocks.h"
#include "metaserver/store/store_state.h"
#include "tests/unit/store/offline_sample.h"

#include <functional>
#include <string>

namespace csnap::test {

inline std::unique_ptr<sample_device> filled_sample(bool with_checkpoint) {
  using namespace store;
  auto device = formatted_sample();
  auto e = engine::take_over(*device, {});
  REQUIRE(e);
  fill_sample(**e);
  with_checkpoint ? checkpoint_sample(**e, *device) : run_log(**e, *device);
  return device;
}

// Changes the state behind the engine's back and writes it as a proper checkpoint.
inline std::unique_ptr<sample_device> tampered_sample(
    const std::function<void(store::store_state &)> &change) {
  using namespace store;
  auto device = filled_sample(true);
  const geometry shape = read_label(*device)->shape;
  auto slots = read_all_slots(*device, shape);
  REQUIRE(slots);
  slot newest = *newest_root_of(*slots);
  store_state state(*device, shape, 1 << 20);
  REQUIRE(state.load(newest.newest_root, newest.claimed_areas, newest.term));
  change(state);
  root next = newest.newest_root;
  const auto pages = state.write_pages(next);
  REQUIRE(pages);
  REQUIRE(run_writes(*device, *pages, durability::durable));
  newest.newest_root = next;
  ++newest.sequence;
  REQUIRE(run_writes(*device, slot_writes(shape, newest), durability::durable));
  return device;
}

inline bool finds(const store::check_report &report, const std::string &text) {
  for (const auto &line : report.errors) {
    UNSCOPED_INFO(line);
    if (line.find(text) != std::string::npos) return true;
  }
  return false;
}

inline void put_exception(store::store_state &state, std::uint64_t chunk, std::uint64_t number,
                          store_chunk place) {
  using namespace store;
  byte_writer value;
  value.u64(place.value);
  REQUIRE(state.exceptions.put(exception_key(volume_id{1}, chunk_no{chunk}, snapshot_number{number}),
                               value.bytes()));
  ++state.exception_count;
  ++state.catalog.change_detail(volume_id{1}).exception_count;
  state.catalog.note(catalog_kind::volume, 1);
}

}  // namespace csnap::test
