// SPDX-License-Identifier: BSD-3-Clause
//
// Against real nbdkit servers on private sockets.
#include "metaserver/device/nbd_device.h"
#include "tests/unit/device/device_checks.h"
#include "tests/unit/device/nbdkit_process.h"

#include <fstream>

namespace csnap::test {

namespace {

std::unique_ptr<opened_device> open_or_throw(const std::string &where) {
  auto device = open_device(where);
  if (!device) throw std::runtime_error(device.error().text);
  return std::move(*device);
}

unsigned thread_count() {
  unsigned count = 0;
  for ([[maybe_unused]] const auto &task : std::filesystem::directory_iterator("/proc/self/task")) ++count;
  return count;
}

}  // namespace

TEST_CASE("nbd device: behaves like a plain copy") {
  nbdkit_process server({"memory", "300000"});
  const auto device = open_or_throw(server.uri());
  CHECK(device->size_bytes() == 300000);
  CHECK_FALSE(device->io_ends_with_process());
  check_against_copy(*device, 2);
  check_refuses_what_is_outside(*device);
}

TEST_CASE("nbd device: a server without FUA and zero is helped out") {
  nbdkit_process server({"--filter=nozero", "--filter=fua", "memory", "200000"});
  const auto device = open_or_throw(server.uri());
  check_against_copy(*device, 3);
}

TEST_CASE("nbd device: a server that takes only whole blocks gets whole blocks") {
  nbdkit_process server({"--filter=blocksize-policy", "memory", "256K", "blocksize-minimum=4096",
                         "blocksize-preferred=4096", "blocksize-maximum=32M",
                         "blocksize-error-policy=error"});
  const auto device = open_or_throw(server.uri());
  check_against_copy(*device, 4);
  check_concurrent_neighbours(*device);
}

TEST_CASE("nbd device: transfers longer than the protocol allows are split") {
  nbdkit_process server({"memory", "100M"});
  const auto device = open_or_throw(server.uri());
  const bytes data = pattern(70 << 20, 5);
  REQUIRE(device->write(12345, data, durability::durable));
  bytes back(data.size());
  REQUIRE(device->read(12345, back));
  CHECK((back == data));
  REQUIRE(device->zero(0, 100 << 20, true, durability::cached));
  REQUIRE(device->read(12345, back));
  CHECK((back == bytes(back.size())));
}

TEST_CASE("nbd device: many threads have requests in flight at once") {
  // Each read takes the server 30 ms; 16 one after another would be half a second.
  nbdkit_process server({"-t", "32", "--filter=delay", "memory", "1M", "rdelay=30ms"});
  const auto device = open_or_throw(server.uri());
  const auto begin = std::chrono::steady_clock::now();
  std::atomic<unsigned> failures{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 16; ++t)
    threads.emplace_back([&, t] {
      bytes into(4096);
      if (!device->read(t * 4096, into)) ++failures;
    });
  for (auto &t : threads) t.join();
  CHECK(failures == 0);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(300));
}

TEST_CASE("nbd device: neighbours do not disturb each other") {
  nbdkit_process server({"-t", "16", "memory", "1M"});
  check_concurrent_neighbours(*open_or_throw(server.uri()));
}

TEST_CASE("nbd device: no thread runs before the first request") {
  nbdkit_process server({"memory", "1M"});
  const unsigned before = thread_count();
  const auto device = open_or_throw(server.uri());
  CHECK(thread_count() == before);
  bytes into(512);
  REQUIRE(device->read(0, into));
  CHECK(thread_count() == before + 1);
}

TEST_CASE("nbd device: opened before fork, used in the child") {
  nbdkit_process server({"memory", "1M"});
  for (const bool used_before : {false, true}) {
    const auto device = open_or_throw(server.uri());
    bytes into(512);
    if (used_before) REQUIRE(device->read(0, into));
    const pid_t child = ::fork();
    if (child == 0) {
      const bool ok = device->read(0, into) && device->write(0, into, durability::durable) && device->flush();
      ::_exit(ok ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
}

// What only waits for room must not look broken: qemu stops a guest for the one (werror=enospc) and not the other.
TEST_CASE("nbd device: a server without space gives no_space") {
  const nbdkit_process server({"--filter=error", "memory", "1M", "error=ENOSPC", "error-rate=100%"});
  const auto device = open_or_throw(server.uri());
  const bytes data(512);
  CHECK(device->write(0, data, durability::durable).error().code == errc::no_space);
  CHECK(device->zero(0, 512, true, durability::cached).error().code == errc::no_space);
}

TEST_CASE("nbd device: an error of the server is an io error, and later requests work") {
  temp_folder folder;
  const std::string trigger = folder / "fail";
  nbdkit_process server(
      {"--filter=error", "memory", "1M", "error=EIO", "error-rate=100%", "error-file=" + trigger});
  const auto device = open_or_throw(server.uri());
  bytes into(512);
  std::ofstream(trigger).close();
  CHECK(device->read(0, into).error().code == errc::io);
  CHECK(device->write(0, into, durability::durable).error().code == errc::io);
  CHECK(device->zero(0, 512, true, durability::cached).error().code == errc::io);
  std::filesystem::remove(trigger);
  CHECK(device->read(0, into));
  CHECK(device->flush());
}

TEST_CASE("nbd device: a flush that failed once never succeeds again") {
  nbdkit_process server({"memory", "1M"});
  const auto device = open_or_throw(server.uri());
  REQUIRE(device->write(0, pattern(512, 1), durability::cached));
  server.stop();
  CHECK_FALSE(device->flush());
  server.start();
  CHECK_FALSE(device->flush());
}

TEST_CASE("nbd device: a lost connection fails requests, then comes back; unflushed writes stay lost") {
  nbdkit_process server({"memory", "1M"});
  const auto flushed = open_or_throw(server.uri()), unflushed = open_or_throw(server.uri());
  bytes into(512);
  REQUIRE(flushed->write(0, into, durability::cached));
  REQUIRE(flushed->flush());
  REQUIRE(flushed->write(0, into, durability::durable));
  REQUIRE(unflushed->write(0, into, durability::cached));
  server.stop();
  CHECK(flushed->read(0, into).error().code == errc::io);
  CHECK(unflushed->read(0, into).error().code == errc::io);
  server.start();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  for (const auto &device : {flushed.get(), unflushed.get()})
    while (!device->read(0, into)) REQUIRE(std::chrono::steady_clock::now() < deadline);
  CHECK(flushed->flush());
  CHECK_FALSE(unflushed->flush());
  CHECK(unflushed->write(0, into, durability::cached));
  CHECK_FALSE(unflushed->flush());
}

TEST_CASE("nbd device: requests in flight when the server dies fail, they do not hang") {
  nbdkit_process server({"-t", "32", "--filter=delay", "memory", "1M", "rdelay=30"});
  const auto device = open_or_throw(server.uri());
  std::atomic<unsigned> failures{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      bytes into(4096);
      if (!device->read(t * 4096, into)) ++failures;
    });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  server.stop();
  for (auto &t : threads) t.join();
  CHECK(failures == 8);
}

TEST_CASE("nbd device: what cannot be opened says why") {
  CHECK(open_device("nbd+unix:///?socket=/nonexistent/socket").error().code == errc::io);
  nbdkit_process server({"-r", "memory", "1M"});
  CHECK(open_device(server.uri()).error().code == errc::refused);
  CHECK(open_device(server.uri(), {.read_only = true}));
}

}  // namespace csnap::test
