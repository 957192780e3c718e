// SPDX-License-Identifier: BSD-3-Clause
//
// Goal: when memory is exhausted the server ends, as if it had been killed, and nothing on disk is wrong. Method:
// in this program every allocation of the engine throws once, one after the other; what the device then holds must
// open as a state that a model knows, with nothing lost that was acknowledged. Destructors run on the way out, and
// must not need memory either.
#include "tests/crash/crash_operations.h"

#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>
#include <new>

namespace {

// Allocations until one fails; -1: none will.
long allocations_left = -1;

void *allocate(std::size_t size) {
  if (allocations_left > 0 && --allocations_left == 0) {
    allocations_left = -1;
    throw std::bad_alloc();
  }
  void *memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void *operator new(std::size_t size) { return allocate(size); }
void *operator new[](std::size_t size) { return allocate(size); }
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete[](void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void *memory, std::size_t) noexcept { std::free(memory); }

namespace {

using namespace csnap;
using namespace csnap::store;
using namespace csnap::test;

// Only the engine's own allocations fail, not those of the test and its device.
class pause_faults {
 public:
  pause_faults() : left_(allocations_left) { allocations_left = -1; }
  ~pause_faults() { allocations_left = left_; }

 private:
  long left_;
};

class calm_device final : public block_device {
 public:
  explicit calm_device(memory_device &inner) : inner_(inner) {}
  std::uint64_t size_bytes() const override { return inner_.size_bytes(); }
  result<> read(std::uint64_t offset, std::span<std::byte> into) override {
    const pause_faults pause;
    return inner_.read(offset, into);
  }
  result<> write(std::uint64_t offset, std::span<const std::byte> from, durability how) override {
    const pause_faults pause;
    return inner_.write(offset, from, how);
  }
  result<> zero(std::uint64_t, std::uint64_t, bool, durability) override { return {}; }
  result<> trim(std::uint64_t, std::uint64_t) override { return {}; }
  result<> flush() override { return inner_.flush(); }

 private:
  memory_device &inner_;
};

struct history {
  store_model current;
  std::map<std::uint64_t, store_model> models;
  std::uint64_t durable = 0;

  void run(block_device &device) {
    auto opened = engine::take_over(device, {});
    {
      const pause_faults pause;
      REQUIRE(opened.has_value());
      models[durable = (*opened)->last_durable().value] = current;
    }
    for (const operation &o : all_operations()) {
      std::optional<record> r;
      {
        const pause_faults pause;
        if (!(r = o.make(**opened))) continue;
        current.apply(*r);
        models[(*opened)->last_appended().value + 1] = current;
      }
      const auto seq = (*opened)->append(*r);
      if (!seq || !run_log_batch(**opened, device)) return;
      durable = (*opened)->last_durable().value;
      if (o.make == all_operations()[5].make && !run_checkpoint(**opened, device)) return;
    }
  }
};

}  // namespace

TEST_CASE("allocation: each one fails once, and the store is as of some batch", "[store][crash]") {
  const prepared_store prepared = prepare_store();
  std::uint64_t failed = 0;
  for (long n = 1;; n += 1 + n / 400) {
    memory_device device(prepared.bytes->size());
    device.overwrite(0, *prepared.bytes);
    calm_device calm(device);
    history h;
    h.current = prepared.model;
    bool ended = false;
    allocations_left = n;
    try {
      h.run(calm);
    } catch (const std::bad_alloc &) {
      ended = true;
    }
    const bool never_came = allocations_left > 0;
    allocations_left = -1;
    if (never_came) break;
    REQUIRE(ended);
    ++failed;
    device.settle();  // the process is gone, the machine is not
    const auto again = engine::take_over(device, {});
    if (!again) FAIL(again.error().text);
    const std::uint64_t last = (*again)->last_appended().value;
    REQUIRE(last >= h.durable);
    REQUIRE((h.durable == 0 ? prepared.model : h.models.at(last)).difference(**again) == "");
  }
  std::printf("allocation: %llu failures\n", static_cast<unsigned long long>(failed));
  CHECK(failed > 300);
}
