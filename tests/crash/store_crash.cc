// SPDX-License-Identifier: BSD-3-Clause
//
// Goal: a power cut before or during any write or flush of a workload loses nothing that was reported
// durable, and brings back whole batches only. Method: at each of them the device is copied, crashed (a random
// subset of the unflushed sectors and of those being written survives, some torn), taken over by a node, and
// compared with the model as of the last record that came back; for one in three, every write of the recovery
// itself is crashed in the same way.
#include "metaserver/store/offline.h"
#include "tests/crash/crash_probe.h"
#include "tests/support/store_model.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::test;

namespace {

class crash_matrix {
 public:
  explicit crash_matrix(std::uint64_t seed)
      : source_(seed, 900),
        chance_(seed + 1),
        inner_(tiny_store_bytes),
        probe_(inner_, [this](auto offset, auto bytes) { probe(offset, bytes); }) {
    make_tiny_store(inner_);
    models_[0] = {};
  }

  void run(unsigned steps) {
    auto opened = store::engine::take_over(probe_, {});
    REQUIRE(opened.has_value());
    engine_ = opened->get();
    for (unsigned step = 0; step < steps; ++step) {
      if (!engine_->has_room() || source_.random()() % 12 == 0) checkpoint();
      for (unsigned n = 0; n < 1 + source_.random()() % 6; ++n) append();
      log_batch();
    }
    checkpoint();
    engine_ = nullptr;
    CHECK(probes_ > steps);
  }

 private:
  void append() {
    const store::record r = source_.next(*engine_);
    if (!engine_->append(r)) return;
    current_.apply(r);
  }
  void log_batch() {
    const auto batch = engine_->take_log_batch();
    if (!batch) return;
    models_[batch->last.value] = current_;
    REQUIRE(store::run_writes(probe_, batch->writes, durability::durable).has_value());
    engine_->log_batch_durable();
    // Older states can never come back.
    models_.erase(models_.begin(), models_.find(batch->last.value));
  }
  // With records and batches between its steps, as in the server.
  void checkpoint() {
    auto pages = engine_->take_checkpoint();
    REQUIRE(pages.has_value());
    append();
    REQUIRE(store::run_writes(probe_, pages->writes, durability::cached).has_value());
    log_batch();
    append();
    REQUIRE(probe_.flush().has_value());
    log_batch();
    const auto root = engine_->take_root();
    append();
    REQUIRE(store::run_writes(probe_, root.writes, durability::durable).has_value());
    engine_->checkpoint_done();
    log_batch();
  }

  // What a power cut leaves: half the time the write is under way and any of its sectors may have arrived.
  memory_device crashed(const memory_device &device, std::uint64_t offset, std::span<const std::byte> bytes) {
    memory_device copy = device;
    if (chance_() % 2 == 0) REQUIRE(copy.write(offset, bytes, durability::cached).has_value());
    copy.crash(chance_);
    return copy;
  }
  void probe(std::uint64_t offset, std::span<const std::byte> bytes) {
    if (engine_ == nullptr) return;
    ++probes_;
    memory_device copy = crashed(inner_, offset, bytes);
    if (probes_ % 3 == 0) {
      memory_device second = copy;
      crash_probe nested(second, [this, &second](auto nested_offset, auto nested_bytes) {
        memory_device again = crashed(second, nested_offset, nested_bytes);
        verify(again);
      });
      REQUIRE(take_over(nested).has_value());
    }
    verify(copy);
  }
  result<std::unique_ptr<store::engine>> take_over(block_device &device) {
    store::engine_options o;
    o.node = static_cast<std::uint32_t>(chance_() % 2);
    return store::engine::take_over(device, o);
  }
  void verify(memory_device &device) {
    auto recovered = take_over(device);
    if (!recovered) FAIL(recovered.error().text);
    const std::uint64_t last = (*recovered)->last_appended().value;
    REQUIRE(last >= engine_->last_durable().value);
    const auto model = models_.find(last);
    if (model == models_.end()) FAIL("record " << last << " is not the end of a batch");
    REQUIRE(model->second.difference(**recovered) == "");
    if (probes_ % 16 != 0) return;
    const auto report = store::check_store(device);
    for (const auto &line : report.errors) FAIL_CHECK(line);
    REQUIRE(report.ok());
  }

  record_source source_;
  std::mt19937_64 chance_;
  memory_device inner_;
  crash_probe probe_;
  store_model current_;
  std::map<std::uint64_t, store_model> models_;  // by last record of a batch; from the durable one on
  store::engine *engine_ = nullptr;
  std::uint64_t probes_ = 0;
};

}  // namespace

TEST_CASE("store: a power cut before any write loses nothing durable", "[store][crash]") {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    INFO("seed " << seed);
    crash_matrix(seed).run(40);
  }
}

TEST_CASE("store: each write or flush that fails is reported", "[store][crash]") {
  for (const auto which : {memory_device::operation::write, memory_device::operation::flush}) {
    for (std::uint64_t n = 1;; ++n) {
      memory_device device(tiny_store_bytes);
      make_tiny_store(device);
      device.fail_nth(which, n);
      record_source source(7, 900);
      auto opened = store::engine::take_over(device, {});
      result<> done;
      if (!opened) done = opened.error();
      std::uint64_t durable = 0;
      for (unsigned step = 0; step < 30 && done; ++step) {
        REQUIRE((*opened)->append(source.next(**opened)).has_value());
        done = step % 10 == 9 ? run_checkpoint(**opened, device) : run_log_batch(**opened, device);
        if (done) durable = (*opened)->last_durable().value;
      }
      if (done) {
        CHECK(n > 4);  // the fault never came: all calls were tried
        break;
      }
      CHECK(done.error().code == errc::io);
      device.crash(source.random());
      auto again = store::engine::take_over(device, {});
      REQUIRE(again.has_value());
      REQUIRE((*again)->last_appended().value >= durable);
    }
  }
}
