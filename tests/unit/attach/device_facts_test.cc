// SPDX-License-Identifier: BSD-3-Clause
//
// Against a made-up /sys and /proc.
#include "metaserver/attach/device_facts.h"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace csnap;
using namespace csnap::attach;

namespace {

struct made_up_root {
  std::string path;
  made_up_root() {
    char name[] = "/tmp/csnap-attach-XXXXXX";
    path = ::mkdtemp(name);
    write("sys/block/nbd3/dev", "43:96");
    write("sys/block/nbd3/size", "2048");
    write("proc/self/mountinfo", "22 1 254:1 / / rw - ext4 /dev/vda1 rw");
  }
  ~made_up_root() { std::filesystem::remove_all(path); }
  void write(const std::string &name, const std::string &text) const {
    std::filesystem::create_directories(std::filesystem::path(path + "/" + name).parent_path());
    std::ofstream(path + "/" + name) << text << "\n";
  }
};

}  // namespace

TEST_CASE("devices are named as people do") {
  CHECK(*parse_device("/dev/nbd0") == 0);
  CHECK(*parse_device("nbd15") == 15);
  for (const char *wrong : {"", "nbd", "/dev/sda", "/dev/nbd", "/dev/nbd1p1", "/dev/nbd-1", "nbd4096",
                            "nbd99999999999", "/dev/nbd 1", "nbd1 "})
    CHECK_FALSE(parse_device(wrong));
}

TEST_CASE("who attached a device, and how large it is") {
  const made_up_root root;
  const device_facts device(3, root.path);
  CHECK_FALSE(device.attached_by());
  CHECK(device.identifier().empty());
  root.write("sys/block/nbd3/pid", "4711");
  root.write("sys/block/nbd3/backend", device_identifier("disk1@monday"));
  CHECK(device.attached_by() == std::optional<std::string>("4711"));
  CHECK(device.identifier() == "csnap:disk1@monday");
  CHECK(device.size_bytes() == 1 << 20);
  CHECK(device_facts(4, root.path).size_bytes() == 0);
}

TEST_CASE("who uses a device: a mount, of it or of a partition, or what is stacked on it") {
  const made_up_root root;
  const device_facts device(3, root.path);
  CHECK(device.user().empty());
  root.write("sys/block/nbd3/holders/dm-0/x", "");
  CHECK(device.user() == "in use by dm-0");
  root.write("sys/block/nbd3/nbd3p1/dev", "43:97");
  root.write("proc/self/mountinfo",
             "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n36 22 43:97 / /srv rw - ext4 /dev/nbd3p1 rw");
  CHECK(device.user() == "mounted at /srv");
  root.write("proc/self/mountinfo", "36 22 43:96 / /mnt rw - xfs /dev/nbd3 rw");
  CHECK(device.user() == "mounted at /mnt");
}
