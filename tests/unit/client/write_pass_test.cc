// SPDX-License-Identifier: BSD-3-Clause
//
// That pass and machine agree is checked at every write of the client machine's tests (scripted_server.h).
#include "metaserver/client/write_pass.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using namespace csnap;
using namespace csnap::client;

TEST_CASE("write_pass: closed, expired, shared and open") {
  write_pass pass(100);
  CHECK_FALSE(pass.begin(chunk_no{0}, 1, boottime_ms{1}));
  pass.unshared().set(chunk_no{7});
  pass.open_until(boottime_ms{1000});
  CHECK_FALSE(pass.begin(chunk_no{7}, 1, boottime_ms{1000}));
  CHECK_FALSE(pass.begin(chunk_no{7}, 2, boottime_ms{1}));
  CHECK(pass.in_flight() == 0);
  REQUIRE(pass.begin(chunk_no{7}, 1, boottime_ms{999}));
  REQUIRE(pass.begin(chunk_no{7}, 1, boottime_ms{999}));
  CHECK_FALSE(pass.end());
  pass.close();
  CHECK_FALSE(pass.begin(chunk_no{7}, 1, boottime_ms{1}));
  CHECK(pass.in_flight() == 1);
  CHECK(pass.end());  // the last one, and a barrier may wait
}

// Between drain and thaw of a barrier nobody may be writing: a writer that was not counted shows as one that
// writes then, and an end that nobody was told of shows as a hang. Each write is of so many chunks that the
// look at their bits takes long enough for a barrier to come in between.
TEST_CASE("write_pass: no write is in flight when a barrier has drained, and every drain is heard of") {
  constexpr int barriers = 2000;
  constexpr std::uint64_t chunks = 256 * 1024;
  write_pass pass(chunks);
  for (std::uint64_t region = 0; region < chunks / unshared_chunks::region_chunks; ++region)
    pass.unshared().learn(region, std::string(unshared_chunks::region_chunks / 8, '\xff'));
  std::mutex machine;
  std::condition_variable ended;
  std::atomic<bool> is_drained{false}, is_over{false};
  std::atomic<std::uint64_t> written{0}, written_in_barrier{0};
  const auto tell = [&] {
    const std::lock_guard lock(machine);
    ended.notify_one();
  };
  const auto write_all_the_time = [&] {
    while (!is_over) {
      if (pass.begin(chunk_no{0}, chunks, boottime_ms{1})) {
        if (is_drained) ++written_in_barrier;
        ++written;
        if (pass.end()) tell();
      } else {
        tell();
      }
    }
  };
  std::vector<std::thread> writers;
  for (int n = 0; n < 2; ++n) writers.emplace_back(write_all_the_time);
  for (int i = 0; i < barriers; ++i) {
    pass.open_until(boottime_ms{1000});
    std::this_thread::sleep_for(std::chrono::microseconds(i % 100));
    pass.close();
    {
      std::unique_lock lock(machine);
      ended.wait(lock, [&] { return pass.in_flight() == 0; });
    }
    is_drained = true;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    is_drained = false;
  }
  is_over = true;
  for (auto &w : writers) w.join();
  CHECK(written_in_barrier == 0);
  CHECK(written > 0);
}
