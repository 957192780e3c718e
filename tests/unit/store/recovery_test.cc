// SPDX-License-Identifier: BSD-3-Clause
//
// What recovery must refuse, because going on would silently lose what was acknowledged.
#include "metaserver/store/newest_term.h"
#include "metaserver/store/slot_blocks.h"
#include "tests/support/store_model.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::store;
using namespace csnap::test;

namespace {

struct fixture {
  geometry shape = tiny_geometry();
  memory_device device{tiny_store_bytes};
  std::unique_ptr<engine> e;
  store_model model;
  record_source source{3, 900};

  fixture() {
    make_tiny_store(device);
    take_over({});
  }
  void take_over(const engine_options &options) {
    auto opened = engine::take_over(device, options);
    if (!opened) FAIL(opened.error().text);
    e = std::move(*opened);
  }
  void batches(int count) {
    for (int i = 0; i < count; ++i) {
      const record r = source.next(*e);
      REQUIRE(e->append(r).has_value());
      model.apply(r);
      REQUIRE(run_log_batch(*e, device).has_value());
    }
  }
  void damage(std::uint64_t block) {
    const std::vector<std::byte> rot(16, std::byte{0xa5});
    device.overwrite(block * block_bytes + 200, rot);
  }
  // The first log of a store begins at sequence 1.
  std::uint64_t log_block(std::uint64_t sequence) const {
    return shape.logs_offset_bytes / block_bytes + sequence;
  }
  std::uint64_t slot_block(std::uint32_t node, std::uint64_t copy) const {
    return shape.slots_offset_bytes / block_bytes + node * blocks_per_slot + copy;
  }
};

}  // namespace

TEST_CASE("recovery: a damaged block in the middle of the log is an error that names it", "[store]") {
  fixture f;
  f.batches(5);
  f.damage(f.log_block(3));
  const auto opened = engine::take_over(f.device, {});
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().code == errc::corrupt);
  CHECK(opened.error().text.find("block " + std::to_string(f.log_block(3))) != std::string::npos);
}

TEST_CASE("recovery: a damaged last batch is a torn tail", "[store]") {
  fixture f;
  f.batches(4);
  const store_model before = f.model;
  f.batches(1);
  f.damage(f.log_block(5));
  f.take_over({});
  CHECK(before.difference(*f.e) == "");
}

TEST_CASE("recovery: one copy of a slot may be damaged, two are an error", "[store]") {
  fixture f;
  f.batches(3);
  const auto newest = read_slot(f.device, f.shape, 0);
  REQUIRE(newest.has_value());
  const std::uint64_t copy = (newest->sequence % 2) * 2;
  f.damage(f.slot_block(0, copy));
  auto read_only = engine::open_read_only(f.device, 1u << 20);
  REQUIRE(read_only.has_value());
  CHECK(f.model.difference(**read_only) == "");
  f.damage(f.slot_block(0, copy + 1));
  const auto opened = engine::take_over(f.device, {});
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().code == errc::corrupt);
}

TEST_CASE("recovery: what a stale master logs after the takeover is never replayed", "[store]") {
  fixture f;
  f.batches(6);
  engine_options other;
  other.node = 1;
  other.predecessors_dead = false;
  std::unique_ptr<engine> stale = std::move(f.e);
  auto claimed = read_slot(f.device, f.shape, 0);
  REQUIRE(claimed.has_value());
  // The first master was sure of its own predecessors and took all areas: the second has none.
  auto refused = engine::take_over(f.device, other);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == errc::no_space);
  other.predecessors_dead = true;
  f.take_over(other);
  const store_model sealed = f.model;
  REQUIRE(stale->append(f.source.next(*stale)).has_value());
  REQUIRE(run_log_batch(*stale, f.device).has_value());
  CHECK(f.e->term() > stale->term());
  f.e.reset();
  f.take_over(other);
  CHECK(sealed.difference(*f.e) == "");
}

TEST_CASE("recovery: terms rise above the election's and the store's", "[store]") {
  fixture f;
  CHECK(f.e->term() == term_id{1, 0});
  engine_options o;
  o.node = 1;
  o.election_counter = 41;
  f.take_over(o);
  CHECK(f.e->term() == term_id{42, 1});
  o.election_counter = 7;
  o.node = 0;
  f.take_over(o);
  CHECK(f.e->term() == term_id{43, 0});
  o.node = 2;
  const auto unknown = engine::take_over(f.device, o);
  REQUIRE_FALSE(unknown.has_value());
  CHECK(unknown.error().code == errc::invalid);
}

TEST_CASE("newest term: is read in one go, and from the mirror where a copy is bad", "[store]") {
  fixture f;
  engine_options other;
  other.node = 1;
  const std::uint64_t reads = f.device.reads();
  CHECK(newest_term(f.device, f.shape).value() == term_id{1, 0});
  CHECK(f.device.reads() == reads + 1);
  // A successor has only claimed its term so far: that is enough.
  f.device.stop_after_writes(2);
  CHECK_FALSE(engine::take_over(f.device, other).has_value());
  f.device.restart();
  CHECK(newest_term(f.device, f.shape).value() == term_id{2, 1});
  f.damage(f.slot_block(1, 0));
  CHECK(newest_term(f.device, f.shape).value() == term_id{2, 1});
  f.device.fail_nth(memory_device::operation::read, 1);
  CHECK(newest_term(f.device, f.shape).value() == term_id{2, 1});
  f.damage(f.slot_block(1, 1));
  CHECK(newest_term(f.device, f.shape).error().code == errc::corrupt);
}
