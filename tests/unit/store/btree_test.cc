// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/btree.h"
#include "tests/support/store_model.h"

#include <catch2/catch.hpp>

#include <map>

using namespace csnap;
using namespace csnap::store;
using namespace csnap::test;

namespace {

struct fixture {
  geometry shape;
  memory_device device;
  page_cache cache;
  page_space space;
  btree tree;

  fixture()
      : shape(large()),
        device((2 + 3000) * block_bytes),
        cache(device, shape, 1),
        space(shape),
        tree(cache, space, block_type::exception_page) {
    area_set all;
    all.fill(std::byte{0xff});
    space.begin(all, 1, {1, 0});
  }
  static geometry large() {
    geometry g;
    g.pages_offset_bytes = 2 * block_bytes;
    g.page_count = 3000;
    return g;
  }
  std::array<std::byte, 8> value(std::uint64_t n) {
    return {std::byte(n), std::byte(n >> 8), std::byte(n >> 16)};
  }
  void put(std::uint64_t n) {
    auto put = tree.put(tree_key::of(1, n, 7), value(n));
    REQUIRE(put.has_value());
  }
  void checkpoint() {
    for (const auto &w : cache.freeze()) REQUIRE(device.write(w.offset_bytes, w.bytes, durability::durable));
    space.checkpoint_taken();
    cache.frozen_are_durable();
    space.checkpoint_done();
    cache.trim();
  }
  std::vector<std::uint64_t> all() {
    std::vector<std::uint64_t> found;
    auto at = tree.seek(tree_key{});
    REQUIRE(at.has_value());
    while (!at->at_end()) {
      found.push_back(at->key().second());
      REQUIRE(at->next().has_value());
    }
    return found;
  }
};

}  // namespace

TEST_CASE("btree: ascending inserts leave full leaves", "[store]") {
  fixture f;
  for (std::uint64_t n = 0; n < 144 * 20; ++n) f.put(n);
  CHECK(f.space.map().busy_count() == 21);  // 20 leaves and a root
  CHECK(f.all().size() == 144 * 20);
}

TEST_CASE("btree: agrees with a map over inserts, erasures and checkpoints", "[store]") {
  const std::uint64_t seed = 42;
  INFO("seed " << seed);
  fixture f;
  std::mt19937_64 random(seed);
  std::map<std::uint64_t, int> model;
  for (int step = 0; step < 40000; ++step) {
    const std::uint64_t n = random() % 20000;
    const bool shrinking = (step / 10000) % 2 == 1;
    if (random() % 10 < (shrinking ? 2u : 8u)) {
      f.put(n);
      model[n] = 1;
    } else {
      const auto erased = f.tree.erase(tree_key::of(1, n, 7));
      REQUIRE(erased.has_value());
      REQUIRE(*erased == (model.erase(n) > 0));
    }
    if (random() % 997 == 0) f.checkpoint();
    if (random() % 1999 != 0) continue;
    std::vector<std::uint64_t> expected;
    for (const auto &[key, unused] : model) expected.push_back(key);
    REQUIRE(f.all() == expected);
  }
  REQUIRE(f.tree.erase_if(tree_key{}, tree_key::of(2, 0, 0), [](auto, auto) { return true; }).has_value());
  CHECK(f.tree.root().is_none());
  f.checkpoint();
  CHECK(f.space.map().busy_count() == 0);  // no page is lost
}

TEST_CASE("btree: the last entry below a key", "[store]") {
  fixture f;
  for (std::uint64_t n = 10; n < 3000; n += 10) f.put(n);
  for (std::uint64_t n = 11; n < 3010; n += 10) {
    auto at = f.tree.seek_below(tree_key::of(1, n, 0));
    REQUIRE(at.has_value());
    if (n > 2990) CHECK(at->key().second() == 2990);
    else CHECK(at->key().second() == n - 1);
  }
  auto none = f.tree.seek_below(tree_key::of(1, 10, 7));
  REQUIRE(none.has_value());
  CHECK(none->at_end());
}

TEST_CASE("btree: a page that was changed on disk is reported as corrupt", "[store]") {
  fixture f;
  for (std::uint64_t n = 0; n < 200000 / 4; ++n) f.put(n);  // more pages than the cache keeps
  f.checkpoint();
  std::array<std::byte, 1> one{std::byte{0xee}};
  const std::uint64_t victim = 2 + 5;
  f.device.overwrite(victim * block_bytes + 100, one);
  result<> outcome;
  auto at = f.tree.seek(tree_key{});
  while (at && !at->at_end() && outcome) {
    f.cache.trim();
    const tree_key next = at->key().successor();
    at = f.tree.seek(next);
  }
  REQUIRE_FALSE(at.has_value());
  CHECK(at.error().code == errc::corrupt);
  CHECK(at.error().text.find("block 7: checksum") != std::string::npos);
}
