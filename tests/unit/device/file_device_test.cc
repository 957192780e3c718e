// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/device/device_use.h"
#include "metaserver/device/open_device.h"
#include "tests/unit/device/device_checks.h"
#include "tests/unit/device/nbdkit_process.h"

#include <cstdlib>
#include <fstream>

#include <sys/stat.h>

namespace csnap::test {

namespace {

std::string make_file(const temp_folder &folder, std::uint64_t size) {
  const std::string path = folder / "disk";
  std::ofstream(path).close();
  std::filesystem::resize_file(path, size);
  return path;
}

}  // namespace

TEST_CASE("device: a file behaves like a plain copy") {
  temp_folder folder;
  auto device = open_device(make_file(folder, 300000));
  REQUIRE(device);
  CHECK((*device)->size_bytes() == 300000);
  check_against_copy(**device, 1);
  check_refuses_what_is_outside(**device);
}

TEST_CASE("device: neighbours in a file do not disturb each other") {
  temp_folder folder;
  auto device = open_device(make_file(folder, 1 << 20));
  REQUIRE(device);
  check_concurrent_neighbours(**device);
}

TEST_CASE("device: punching a hole in a file gives its space back and keeps its size") {
  temp_folder folder;
  const std::string path = make_file(folder, 1 << 20);
  auto device = open_device(path);
  REQUIRE(device);
  REQUIRE((*device)->write(0, pattern(1 << 20, 3), durability::durable));
  struct stat before {
  }, after{};
  REQUIRE(::stat(path.c_str(), &before) == 0);
  REQUIRE((*device)->zero(0, 1 << 20, true, durability::durable));
  REQUIRE(::stat(path.c_str(), &after) == 0);
  CHECK(after.st_size == 1 << 20);
  CHECK(after.st_blocks < before.st_blocks);
}

TEST_CASE("device: a file opened read-only refuses writes") {
  temp_folder folder;
  auto device = open_device(make_file(folder, 4096), {.read_only = true});
  REQUIRE(device);
  CHECK_FALSE((*device)->write(0, pattern(10, 1), durability::cached));
  CHECK_FALSE((*device)->zero(0, 10, true, durability::cached));
}

TEST_CASE("device: what cannot be opened is named with its reason") {
  temp_folder folder;
  const auto missing = open_device(folder / "none");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == errc::not_found);
  CHECK(missing.error().text.find("none") != std::string::npos);
  CHECK(open_device("/tmp").error().code == errc::invalid);
  CHECK(open_device("").error().code == errc::invalid);
  CHECK(open_device("/dev/null").error().code == errc::invalid);
}

TEST_CASE("device: a read past the end of a file that was cut is an error") {
  temp_folder folder;
  auto device = open_device(make_file(folder, 8192));
  REQUIRE(device);
  CHECK((*device)->io_ends_with_process());
  // The file becomes shorter behind our back: a read past its end is an error, not zeroes or a short read.
  std::filesystem::resize_file(folder / "disk", 4096);
  bytes two(2);
  const auto r = (*device)->read(6000, two);
  REQUIRE_FALSE(r);
  CHECK(r.error().code == errc::io);
}

TEST_CASE("device use: the device of the root filesystem is in use, a plain file is not") {
  temp_folder folder;
  CHECK(check_unused(make_file(folder, 4096)));
  CHECK(check_unused("nbd://localhost/x"));
  CHECK(check_unused(folder / "none").error().code == errc::not_found);
  std::ifstream mounts("/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);) {
    const std::string name = line.substr(0, line.find(' '));
    struct stat about {};
    if (!name.starts_with("/dev/") || ::stat(name.c_str(), &about) != 0 || !S_ISBLK(about.st_mode)) continue;
    const auto used = check_unused(name);
    REQUIRE_FALSE(used);
    CHECK(used.error().code == errc::busy);
    CHECK(used.error().text.find("mounted on") != std::string::npos);
    return;
  }
}

// Hidden, since it overwrites a block device: CSNAP_TEST_BLOCK_DEVICE=/dev/loopN device_test '[block]'
TEST_CASE("device: a block device behaves like a plain copy", "[.block]") {
  const char *path = std::getenv("CSNAP_TEST_BLOCK_DEVICE");
  REQUIRE(path != nullptr);
  auto device = open_device(path, {.exclusive = true});
  REQUIRE(device);
  CHECK((*device)->io_ends_with_process());
  CHECK(open_device(path, {.exclusive = true}).error().code == errc::busy);
  CHECK(check_unused(path).error().code == errc::busy);
  check_against_copy(**device, 6);
  check_refuses_what_is_outside(**device);
  check_concurrent_neighbours(**device);
}

}  // namespace csnap::test
