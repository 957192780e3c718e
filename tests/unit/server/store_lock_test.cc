// SPDX-License-Identifier: BSD-3-Clause
//
// Open-file-description locks belong to the open file, so two of one process contend like two processes.
#include "metaserver/election/file_election.h"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <memory>
#include <string>

#include <unistd.h>

using namespace csnap;

namespace {

struct temporary_file {
  std::string path = "/tmp/csnap-lock-test-XXXXXX";
  temporary_file() { ::close(::mkstemp(path.data())); }
  ~temporary_file() { ::unlink(path.c_str()); }
};

}  // namespace

TEST_CASE("store lock: one holder at a time, and its end frees it") {
  temporary_file file;
  auto first = std::make_unique<store_lock>(store_lock::open(file.path, false).value());
  auto second = store_lock::open(file.path, false).value();
  CHECK_FALSE(store_lock::is_held(file.path).value());
  CHECK(first->try_lock().value());
  CHECK(store_lock::is_held(file.path).value());
  CHECK_FALSE(second.try_lock().value());
  first.reset();
  CHECK(second.try_lock().value());
  second.unlock();
  CHECK_FALSE(store_lock::is_held(file.path).value());
}

TEST_CASE("store lock: a store that does not exist is not made, a lock file is") {
  temporary_file file;
  ::unlink(file.path.c_str());
  CHECK(store_lock::open(file.path, false).error().code == errc::not_found);
  CHECK(store_lock::open(file.path, true).has_value());
}

TEST_CASE("file election: the second candidate is elected when the first releases, each once") {
  temporary_file file;
  boost::asio::io_context io;
  int first_elected = 0, second_elected = 0;
  file_election first(io, store_lock::open(file.path, false).value());
  file_election second(io, store_lock::open(file.path, false).value());
  const auto run_for = [&](int ms) { io.restart(), io.run_for(std::chrono::milliseconds(ms)); };
  first.acquire({[&](std::uint64_t) { ++first_elected; }, [](const std::string &) {}});
  run_for(10);
  second.acquire({[&](std::uint64_t) { ++second_elected; }, [](const std::string &) {}});
  run_for(100);
  CHECK(first_elected == 1);
  CHECK(second_elected == 0);
  first.release();
  run_for(100);
  CHECK(first_elected == 1);
  CHECK(second_elected == 1);
}
