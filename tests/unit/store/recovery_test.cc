// SPDX-License-Identifier: BSD-3-Clause
//
// What recovery must refuse, because going on would silently lose what was acknowledged.
#include "meddling_device.h"
#include "metaserver/store/newest_term.h"
#include "metaserver/store/offline.h"
#include "metaserver/store/page_areas.h"
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
      if (!e->has_room()) REQUIRE(run_checkpoint(*e, device).has_value());
      const record r = source.next(*e);
      const auto done = e->append(r);
      if (done) model.apply(r);
      else REQUIRE(done.error().code == errc::no_space);
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

TEST_CASE("areas: those of predecessors are never written before proof, and taken after it", "[store]") {
  fixture f;
  engine_options first, second;
  first.predecessors_dead = second.predecessors_dead = false;
  second.node = 1;
  const auto history = [&] {
    for (int i = 0; i < 6; ++i) {
      f.batches(12);
      REQUIRE(run_checkpoint(*f.e, f.device).has_value());
    }
  };
  const auto claims = [&](std::uint32_t node) { return read_slot(f.device, f.shape, node)->claimed_areas; };
  const auto pages_written_in = [&](const area_set &areas, std::size_t from) {
    std::size_t count = 0;
    for (std::uint64_t a = 0; a < area_count; ++a) {
      if (!has_area(areas, a)) continue;
      const std::uint64_t begin = f.shape.pages_offset_bytes + first_page_of_area(f.shape, a) * block_bytes;
      const std::uint64_t end = f.shape.pages_offset_bytes + first_page_of_area(f.shape, a + 1) * block_bytes;
      for (std::size_t i = from; i < f.device.recorded().size(); ++i) {
        const auto &w = f.device.recorded()[i];
        count += w.offset_bytes < end && w.offset_bytes + w.bytes.size() > begin;
      }
    }
    return count;
  };
  make_tiny_store(f.device);
  f.model = {};
  f.take_over(first);
  CHECK(area_count_of(claims(0)) == area_count / 2);
  history();
  const area_set of_first = claims(0);
  f.device.start_recording();
  f.take_over(second);
  CHECK(area_count_of(claims(1)) == area_count / 4);
  history();
  CHECK(pages_written_in(of_first, 0) == 0);
  CHECK(pages_written_in(claims(1), 0) > 20);
  const std::uint64_t pages_before = f.e->usage().pages_free;
  f.e->predecessors_died();
  CHECK(f.e->checkpoint_is_due());
  const std::size_t at_proof = f.device.recorded().size();
  REQUIRE(run_checkpoint(*f.e, f.device).has_value());
  CHECK(pages_written_in(of_first, at_proof) == 0);  // not before the claim is durable
  CHECK(area_count_of(claims(1)) == area_count * 3 / 4);
  CHECK(f.e->usage().pages_free > pages_before + 100);
  for (int i = 0; i < 6; ++i) history();
  CHECK(pages_written_in(of_first, at_proof) > 0);
  CHECK(f.model.difference(*f.e) == "");
  // The first node again: its old claim is void, and what the second left unclaimed is for it.
  const area_set of_second = claims(1);
  f.take_over(first);
  for (std::uint64_t a = 0; a < area_count; ++a)
    CHECK_FALSE((has_area(claims(0), a) && has_area(of_second, a)));
  CHECK(area_count_of(claims(0)) == area_count / 8);
  CHECK(f.model.difference(*f.e) == "");
  const auto report = check_store(f.device);
  for (const auto &line : report.errors) FAIL_CHECK(line);
}

// What its root frees the other may still read: it has begun from the root before.
TEST_CASE("recovery: a master that is overtaken before its first root ends", "[store]") {
  fixture f;
  meddling_device shared(f.device);
  engine_options first, second;
  first.predecessors_dead = false;
  second.node = 1;
  shared.before_flush(2, [&] { f.take_over(second); });
  const auto overtaken = engine::take_over(shared, first);
  REQUIRE_FALSE(overtaken.has_value());
  CHECK(overtaken.error().code == errc::stale);
  CHECK(f.e->term().node == 1);
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
