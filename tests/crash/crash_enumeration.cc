// SPDX-License-Identifier: BSD-3-Clause
//
// Goal: no power cut, wherever it comes and whatever of the device's cache survives it, loses what was
// acknowledged, brings back half of a batch, or leaves a store that cannot be opened. Method: every sequence of
// one and of two operations is run in three ways (each in its batch, then a checkpoint; both in one batch; the
// second while the checkpoint of the first is under way). For every crash point every set of surviving sectors is
// tried (all sets while few sectors differ, else samples), recovered, and compared with the model as of the last
// record that came back; and for some of them the recovery is crashed in the same way. Fuller, for a nightly
// run: CSNAP_FULL=1.
#include "metaserver/store/offline.h"
#include "tests/crash/crash_operations.h"
#include "tests/crash/sector_image.h"

#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>

using namespace csnap;
using namespace csnap::store;
using namespace csnap::test;

namespace {

enum class schedule { one_by_one, one_batch, beside_checkpoint };

bool is_full() { return std::getenv("CSNAP_FULL") != nullptr; }

class enumeration {
 public:
  enumeration() : prepared_(prepare_store()) {}

  void run(const std::vector<const operation *> &operations, schedule how) {
    sector_image device(prepared_.bytes);
    event_recorder recorder(device);
    REQUIRE(take_over(recorder, 0));
    const sector_image before = device;
    recorder.events.clear();
    recorder_ = &recorder;
    current_ = prepared_.model;
    models_ = {{e_->last_appended().value, current_}};
    acknowledged_ = {{0, e_->last_appended().value}};
    if (!carry_out(operations, how)) return;
    recorder_ = nullptr;
    ++sequences_;
    const crash_limits limits{is_full() ? 10u : 8u, is_full() ? 64u : 16u};
    enumerate_crashes(before, recorder.events, limits, random_,
                      [&](sector_image &image, std::size_t event) { verify(image, event); });
  }
  void print() const {
    std::printf("crash enumeration: %llu sequences, %llu images, %llu recoveries crashed in %llu ways\n",
                static_cast<unsigned long long>(sequences_), static_cast<unsigned long long>(images_),
                static_cast<unsigned long long>(recoveries_), static_cast<unsigned long long>(nested_));
  }
  std::uint64_t images() const { return images_; }
  std::uint64_t nested() const { return nested_; }

 private:
  bool take_over(block_device &device, std::uint32_t node) {
    engine_options o;
    o.node = node;
    auto opened = engine::take_over(device, o);
    if (!opened) FAIL_CHECK(opened.error().text);
    else e_ = std::move(*opened);
    return opened.has_value();
  }

  bool append(const operation &o) {
    const auto r = o.make(*e_);
    if (!r) return false;
    REQUIRE(e_->append(*r).has_value());
    current_.apply(*r);
    return true;
  }
  void batch() {
    const auto jobs = e_->take_log_batch();
    if (!jobs) return;
    models_[jobs->last.value] = current_;
    REQUIRE(run_writes(*recorder_, jobs->writes, durability::durable).has_value());
    e_->log_batch_durable();
    acknowledged_.emplace_back(recorder_->events.size(), e_->last_durable().value);
  }
  bool carry_out(const std::vector<const operation *> &operations, schedule how) {
    if (!append(*operations.front())) return false;
    if (how != schedule::one_batch) batch();
    const bool second_is_late = how == schedule::beside_checkpoint;
    if (operations.size() > 1 && !second_is_late) {
      if (!append(*operations.back())) return false;
    }
    batch();
    if (how == schedule::one_batch) return true;
    auto pages = e_->take_checkpoint();
    REQUIRE(pages.has_value());
    REQUIRE(run_writes(*recorder_, pages->writes, durability::cached).has_value());
    if (second_is_late) {
      if (!append(*operations.back())) return false;
      batch();
    }
    REQUIRE(recorder_->flush().has_value());
    REQUIRE(run_writes(*recorder_, e_->take_root().writes, durability::durable).has_value());
    e_->checkpoint_done();
    return true;
  }

  std::uint64_t acknowledged_at(std::size_t event) const {
    std::uint64_t last = 0;
    for (const auto &[after, record] : acknowledged_)
      if (after <= event) last = record;
    return last;
  }
  // The last record that comes back, and everything as it was then.
  std::uint64_t verify_state(engine &e, std::uint64_t at_least) {
    const std::uint64_t last = e.last_appended().value;
    REQUIRE(last >= at_least);
    const auto model = models_.find(last);
    if (model == models_.end()) FAIL("record " << last << " is not the end of a batch");
    REQUIRE(model->second.difference(e) == "");
    return last;
  }
  void verify(sector_image &image, std::size_t event) {
    ++images_;
    INFO("event " << event);
    const auto opened = engine::open_read_only(image, 1u << 20);
    if (!opened) FAIL(opened.error().text);
    const std::uint64_t last = verify_state(**opened, acknowledged_at(event));
    if (images_ % 97 == 0) {
      const auto report = check_store(image);
      for (const auto &line : report.errors) FAIL_CHECK(line);
    }
    if (images_ % (is_full() ? 8 : 31) == 0) crash_the_recovery(image, last);
  }
  void crash_the_recovery(const sector_image &before, std::uint64_t last) {
    ++recoveries_;
    sector_image device = before;
    event_recorder recorder(device);
    std::unique_ptr<engine> saved = std::move(e_);
    REQUIRE(take_over(recorder, static_cast<std::uint32_t>(recoveries_ % 2)));
    enumerate_crashes(before, recorder.events, {is_full() ? 8u : 4u, is_full() ? 16u : 4u}, random_,
                      [&](sector_image &image, std::size_t) {
                        ++nested_;
                        REQUIRE(take_over(image, static_cast<std::uint32_t>(nested_ % 2)));
                        REQUIRE(verify_state(*e_, last) == last);
                      });
    e_ = std::move(saved);
  }

  const prepared_store prepared_;
  std::mt19937_64 random_{17};
  std::unique_ptr<engine> e_;
  event_recorder *recorder_ = nullptr;
  store_model current_;
  std::map<std::uint64_t, store_model> models_;                      // by last record of a batch
  std::vector<std::pair<std::size_t, std::uint64_t>> acknowledged_;  // after so many events: up to here
  std::uint64_t sequences_ = 0, images_ = 0, recoveries_ = 0, nested_ = 0;
};

}  // namespace

TEST_CASE("crash enumeration: every sequence of one and two operations", "[store][crash]") {
  enumeration all;
  for (const operation &a : all_operations()) {
    INFO(a.name);
    for (const schedule how : {schedule::one_by_one, schedule::one_batch}) all.run({&a}, how);
    for (const operation &b : all_operations()) {
      INFO("then " << b.name);
      for (const schedule how : {schedule::one_by_one, schedule::one_batch, schedule::beside_checkpoint})
        all.run({&a, &b}, how);
    }
  }
  all.print();
  CHECK(all.images() > 10000);
  CHECK(all.nested() > 1000);
}

TEST_CASE("crash enumeration: every read, write and flush fails once", "[store][crash]") {
  const prepared_store prepared = prepare_store();
  std::uint64_t faults = 0;
  for (const auto which :
       {memory_device::operation::read, memory_device::operation::write, memory_device::operation::flush})
    for (std::uint64_t n = 1;; ++n) {
      memory_device device(prepared.bytes->size());
      device.overwrite(0, *prepared.bytes);
      device.fail_nth(which, n);
      store_model current = prepared.model;
      std::map<std::uint64_t, store_model> models;
      auto opened = engine::take_over(device, {});
      result<> done;
      std::uint64_t durable = 0;
      if (!opened) done = opened.error();
      else models[durable = (*opened)->last_durable().value] = current;
      for (const operation &o : all_operations()) {
        if (!done) break;
        // The whole index is read now and then, so that reads of pages fail as well.
        if (const auto listed =
                (*opened)->list_exceptions(volume_id{1}, chunk_no{0}, chunk_no{10000}, 100, nullptr);
            !listed) {
          done = listed.error();
          break;
        }
        const auto r = o.make(**opened);
        if (!r) continue;
        if (const auto seq = (*opened)->append(*r); !seq) {
          done = seq.error();
          break;
        }
        current.apply(*r);
        models[(*opened)->last_appended().value] = current;
        done = run_log_batch(**opened, device);
        if (done) durable = (*opened)->last_durable().value;
        if (done && o.make == all_operations()[5].make) done = run_checkpoint(**opened, device);
      }
      if (done) break;  // the fault never came: all calls were tried
      ++faults;
      REQUIRE(done.error().code == errc::io);
      std::mt19937_64 chance(n);
      device.crash(chance);
      const auto again = engine::take_over(device, {});
      if (!again) FAIL(again.error().text);
      const std::uint64_t last = (*again)->last_appended().value;
      REQUIRE(last >= durable);
      if (durable == 0) REQUIRE(prepared.model.difference(**again) == "");
      else REQUIRE(models.at(last).difference(**again) == "");
    }
  std::printf("crash enumeration: %llu I/O errors\n", static_cast<unsigned long long>(faults));
  CHECK(faults > 20);
}
