// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/disk_format.h"
#include "tests/support/store_model.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::store;
using namespace csnap::test;

namespace {

std::vector<record> one_of_each() {
  unique_id id;
  id.bytes.fill(std::byte{9});
  volume_info v;
  v.id = volume_id{3};
  v.name = "root";
  v.device = "/dev/sdb";
  v.size_bytes = 1u << 30;
  session_info s;
  s.id = session_id{4};
  s.node = "alpha";
  s.io_ends_with_process = true;
  return {volume_added{v},
          settings_changed{},
          snapshots_created{id, snapshot_number{5}, 6, -7, -8, {{volume_id{3}, "a"}, {volume_id{4}, "b"}}},
          snapshot_renamed{id, volume_id{3}, snapshot_number{5}, "new"},
          snapshot_deleted{id, volume_id{3}, snapshot_number{5}, true},
          snapshot_died{volume_id{3}, snapshot_number{5}},
          exceptions_added{
              volume_id{3},
              snapshot_number{5},
              session_id{4},
              {{chunk_no{1}, reservation_id{2}, store_chunk{3}}, {chunk_no{2}, {}, store_chunk::zero()}}},
          session_opened{s},
          session_closed{session_id{4}, {volume_id{3}, volume_id{4}}},
          chunks_reserved{reservation_id{2}, session_id{4}, store_chunk{100}, 64},
          reaped{volume_id{3}, chunk_no{1}, chunk_no{9}, true},
          volume_changed{id, volume_id{3}, full_policy::snapshot_first},
          snapshot_changed{id, volume_id{3}, snapshot_number{5}, -3},
          snapshot_held{id, volume_id{3}, snapshot_number{5}, "tag"},
          snapshot_released{id, volume_id{3}, snapshot_number{5}, "tag"},
          chunks_returned{reservation_id{2}, session_id{4}, store_chunk{100}, 3},
          store_grown{5000}};
}

}  // namespace

TEST_CASE("records: each type reads back as it was written", "[store]") {
  const auto all = one_of_each();
  REQUIRE(all.size() == std::variant_size_v<record>);
  for (std::size_t i = 0; i < all.size(); ++i) {
    INFO("type " << i + 1);
    CHECK(all[i].index() == i);
    const auto bytes = encode_record(all[i]);
    const auto back = decode_record(bytes);
    REQUIRE(back.has_value());
    CHECK(encode_record(*back) == bytes);
    // Cut anywhere, or one byte too long: refused.
    for (std::size_t size = 0; size < bytes.size(); ++size)
      REQUIRE_FALSE(decode_record(std::span(bytes).first(size)).has_value());
    auto longer = bytes;
    longer.push_back({});
    REQUIRE_FALSE(decode_record(longer).has_value());
  }
}

TEST_CASE("blocks: every changed bit of a sealed block is noticed", "[store]") {
  unique_id store;
  store.bytes.fill(std::byte{1});
  const std::vector<std::byte> payload(100, std::byte{7});
  const auto block = seal_block({block_type::log, 17, store, {3, 1}, 9, 0, 2}, payload);
  const auto header = open_block(block, block_type::log, 17, store);
  REQUIRE(header.has_value());
  CHECK(header->sequence == 9);
  CHECK(header->payload_bytes == 100);
  for (std::size_t bit = 0; bit < block.size() * 8; bit += 5) {
    auto damaged = block;
    damaged[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    REQUIRE_FALSE(open_block(damaged, block_type::log, 17, store).has_value());
  }
  CHECK_FALSE(open_block(block, block_type::log, 18, store).has_value());
  CHECK_FALSE(open_block(block, block_type::slot, 17, store).has_value());
  CHECK_FALSE(open_block(block, block_type::log, 17, unique_id{}).has_value());
}

TEST_CASE("slot: reads back as it was written", "[store]") {
  slot s;
  s.node = 2;
  s.sequence = 77;
  s.term = {5, 2};
  s.address = "tcp:host:1";
  s.claimed_areas[3] = std::byte{0x81};
  s.newest_root.term = {4, 2};
  s.newest_root.covers = record_seq{123};
  s.newest_root.catalog = {55, 66, {3, 1}};
  s.dead_below = {4, 1};
  const auto back = decode_slot(encode_slot(s));
  REQUIRE(back.has_value());
  CHECK(back->sequence == 77);
  CHECK(back->address == s.address);
  CHECK(back->claimed_areas == s.claimed_areas);
  CHECK(back->dead_below == s.dead_below);
  CHECK(back->newest_root == s.newest_root);
}
