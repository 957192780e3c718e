// SPDX-License-Identifier: BSD-3-Clause
//
// For any sequence of records, checkpoints, crashes and reopenings, the engine holds what a plain map holds,
// and `check` finds nothing wrong with what is on the device.
#include "metaserver/store/offline.h"
#include "tests/support/store_model.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::test;

namespace {

store::engine_options options_for(std::uint32_t node) {
  store::engine_options o;
  o.node = node;
  o.cache_bytes = 1;  // as small as it gets: pages are evicted and read again
  return o;
}

void run_history(std::uint64_t seed, unsigned steps) {
  INFO("seed " << seed);
  store::geometry shape = tiny_geometry();
  shape.page_count = 2560;
  memory_device device(shape.pages_offset_bytes + shape.page_count * store::block_bytes);
  make_tiny_store(device, shape);
  store_model model;
  record_source source(seed, 20000);
  std::uint32_t node = 0;
  auto opened = store::engine::take_over(device, options_for(node));
  REQUIRE(opened.has_value());
  for (unsigned step = 0; step < steps; ++step) {
    store::engine &e = **opened;
    if (!e.has_room() || e.checkpoint_is_due() || source.random()() % 40 == 0)
      REQUIRE(run_checkpoint(e, device).has_value());
    const store::record r = source.next(e);
    auto seq = e.append(r);
    if (seq) model.apply(r);
    else REQUIRE(seq.error().code == errc::no_space);
    if (source.random()() % 3 == 0) REQUIRE(run_log_batch(e, device).has_value());
    if (source.random()() % 60 != 0) continue;
    REQUIRE(run_log_batch(e, device).has_value());
    CHECK(model.difference(e) == "");
    device.crash(source.random());
    auto read_only = store::engine::open_read_only(device, 1u << 20);
    REQUIRE(read_only.has_value());
    REQUIRE(model.difference(**read_only) == "");
    node = static_cast<std::uint32_t>(source.random()() % 2);
    opened = store::engine::take_over(device, options_for(node));
    if (!opened) FAIL(opened.error().text);
    REQUIRE(model.difference(**opened) == "");
    const auto report = store::check_store(device);
    for (const auto &line : report.errors) FAIL_CHECK(line);
    REQUIRE(report.ok());
  }
}

}  // namespace

TEST_CASE("store: any history leaves what the model holds", "[store]") {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) run_history(seed, 800);
}
