// SPDX-License-Identifier: BSD-3-Clause
//
// The order of the commit loop's writes, that a failed one stops the server, and proof of mastership.
#include "metaserver/server/commit_loop.h"

#include "metaserver/server/proof_gate.h"
#include "metaserver/store/offline.h"
#include "simple_environment.h"
#include "tests/support/memory_device.h"

#include <catch2/catch.hpp>

#include <optional>

using namespace csnap;
using namespace csnap::test;
using server::worker;

namespace {

struct rig {
  memory_device device{7u << 20};
  simple_environment around;
  std::unique_ptr<store::engine> engine;
  std::vector<std::uint64_t> durable;
  int checkpoints = 0;
  std::optional<server::commit_loop> loop;

  explicit rig(server::planted_mistakes planted = {}, bool others_may_be_elected = false) {
    store::format_request request;
    request.store.bytes[0] = std::byte{7};
    request.chunk_bytes = 4096;
    request.node_count = 2;
    request.origins.push_back({"a", "/dev/x", 1u << 20});
    REQUIRE(store::format_store(device, nullptr, request).has_value());
    engine = take_over(0);
    loop.emplace(around, *engine, device,
                 server::commit_loop::events{[this](record_seq last) { durable.push_back(last.value); },
                                             [this] { ++checkpoints; }},
                 planted, others_may_be_elected);
  }
  std::unique_ptr<store::engine> take_over(std::uint32_t node) {
    store::engine_options how;
    how.node = node;
    auto made = store::engine::take_over(device, how);
    REQUIRE(made.has_value());
    return std::move(*made);
  }
  std::uint64_t append() {
    store::session_info info;
    info.id = session_id{engine->last_session_id().value + 1};
    info.pid = 1;
    const auto seq = engine->append(store::session_opened{info});
    REQUIRE(seq.has_value());
    return seq->value;
  }
  std::uint64_t recovered_sessions() {
    device.restart();
    return store::engine::open_read_only(device, 1u << 20).value()->sessions().size();
  }
};

}  // namespace

TEST_CASE("commit loop: a batch is heard of when it is durable, and what gathered meanwhile is the next") {
  rig r;
  const auto first = r.append();
  r.loop->kick();
  REQUIRE(r.around.jobs[worker::log].size() == 1);
  const auto second = r.append();
  r.loop->kick();
  CHECK(r.around.jobs[worker::log].size() == 1);  // one batch at a time
  r.around.run_posted();
  CHECK(r.durable.empty());
  r.around.work(worker::log);
  CHECK(r.durable.empty());  // reported by the owner's thread
  r.around.run_posted();
  CHECK(r.durable == std::vector{first});
  r.around.work(worker::log);
  r.around.run_posted();
  CHECK(r.durable == std::vector{first, second});
}

TEST_CASE("commit loop: a mistake: heard before it is durable") {
  rig r({.heard_before_durable = true});
  r.append();
  r.loop->kick();
  r.around.run_posted();
  CHECK(r.durable.size() == 1);
  CHECK(r.recovered_sessions() == 0);
}

TEST_CASE("commit loop: a root waits for the log that it covers") {
  rig r;
  r.append();
  bool finished = false;
  r.loop->finish([&] { finished = true; });  // takes the batch; the checkpoint comes after it
  REQUIRE(r.around.jobs[worker::log].size() == 1);
  CHECK(r.around.jobs[worker::checkpoint].empty());
  r.around.work(worker::log);
  r.around.run_posted();
  REQUIRE(r.around.jobs[worker::checkpoint].size() == 1);  // pages
  r.append();
  r.loop->kick();
  r.around.work(worker::checkpoint);
  r.around.run_posted();
  CHECK(r.around.jobs[worker::checkpoint].size() == 1);  // the root: what it covers was durable before
  r.around.run_all();
  CHECK(finished);
  CHECK(r.checkpoints == 2);  // the last one covers the record that came late
  CHECK(r.recovered_sessions() == 2);
}

TEST_CASE("commit loop: a write or a flush that fails stops the server, and nothing is heard") {
  const auto which = GENERATE(memory_device::operation::write, memory_device::operation::flush);
  rig r;
  r.append();
  r.loop->finish([] {});
  if (which == memory_device::operation::write) {
    r.device.fail_nth(which, 1);
    CHECK_THROWS_AS(r.around.work(worker::log), stopped);
    CHECK(r.durable.empty());
    return;
  }
  r.around.work(worker::log);
  r.around.run_posted();
  r.device.fail_nth(which, 1);
  CHECK_THROWS_AS(r.around.work(worker::checkpoint), stopped);
  CHECK(r.checkpoints == 0);
}

// The successor may have begun from the root before, and need what this one frees.
TEST_CASE("commit loop: who finds a successor after its root uses no page again") {
  const bool is_planted = GENERATE(false, true);
  rig r({.reuse_unproved = is_planted}, true);
  r.append();
  r.loop->finish([] {});
  r.around.work(worker::log);
  r.around.run_posted();
  r.around.work(worker::checkpoint);  // pages
  r.around.run_posted();
  const auto successor = r.take_over(1);
  if (is_planted) {
    r.around.work(worker::checkpoint);
    r.around.run_posted();
    CHECK(r.checkpoints == 1);
    return;
  }
  CHECK_THROWS_AS(r.around.work(worker::checkpoint), stopped);
  CHECK(r.checkpoints == 0);
}

TEST_CASE("proof of mastership: what was decided waits for a read that began later") {
  rig r;
  std::vector<bool> released;
  server::proof_gate gate(
      r.around, r.device, r.engine->shape(), r.engine->term(),
      [&](const core::output &what) { released.push_back(std::get<core::log_line>(what).warning); });
  gate.hold({core::log_line{false, "first"}});
  gate.hold({core::log_line{true, "second"}});  // the read that runs began before it
  CHECK(released.empty());
  r.around.work(worker::proof);
  r.around.run_posted();
  CHECK(released == std::vector{false});
  r.around.work(worker::proof);
  r.around.run_posted();
  CHECK(released == std::vector{false, true});
  gate.hold({core::log_line{false, "third"}});
  const auto successor = r.take_over(1);
  CHECK_THROWS_AS(r.around.work(worker::proof), stopped);
  CHECK(released.size() == 2);
}

TEST_CASE("proof of mastership: a store that cannot be read proves nothing") {
  rig r;
  server::proof_gate gate(r.around, r.device, r.engine->shape(), r.engine->term(),
                          [](const core::output &) {});
  gate.hold({core::log_line{false, "first"}});
  r.device.stop_after_writes(0);
  const std::vector<std::byte> bytes(4096);
  REQUIRE_FALSE(r.device.write(0, bytes, durability::cached));
  CHECK_THROWS_AS(r.around.work(worker::proof), stopped);
}
