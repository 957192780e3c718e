// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/attach/attach_record.h"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>

#include <signal.h>
#include <sys/wait.h>

using namespace csnap;
using namespace csnap::attach;

namespace {

struct made_up_folder {
  std::string path;
  made_up_folder() {
    char name[] = "/tmp/csnap-attach-XXXXXX";
    path = std::string(::mkdtemp(name)) + "/attach";
  }
  ~made_up_folder() { std::filesystem::remove_all(std::filesystem::path(path).parent_path()); }
};

// A process that has the record, until it is killed.
pid_t record_holder(const attach_records &records, std::uint32_t index, const std::string &name) {
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto taken = records.take(index, name, "nbd://a " + name);
    (void)!::write(ready[1], "x", 1);
    ::pause();
    std::_Exit(0);
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  ::close(ready[0]);
  ::close(ready[1]);
  return child;
}

}  // namespace

TEST_CASE("a record names its supervisor as long as that lives") {
  const made_up_folder folder;
  const attach_records records(folder.path);
  CHECK(records.all().empty());
  REQUIRE(records.keep_others_out());
  const pid_t holder = record_holder(records, 2, "disk1@monday");
  REQUIRE(records.of_export("disk1@monday"));
  CHECK(records.of_export("disk1@monday")->index == 2);
  CHECK(records.of_export("disk1@monday")->supervisor == holder);
  CHECK(records.of_export("disk1@monday")->source == "nbd://a disk1@monday");
  CHECK_FALSE(records.of_export("disk1"));
  const auto second = records.take(2, "disk2", "nbd://b");
  REQUIRE_FALSE(second);
  CHECK(second.error().code == errc::busy);
  CHECK(records.of_device(2)->export_name == "disk1@monday");

  ::kill(holder, SIGKILL);
  ::waitpid(holder, nullptr, 0);
  CHECK(records.of_device(2)->supervisor == 0);
  CHECK(records.take(2, "disk2", "nbd://b"));
  CHECK(records.of_device(2)->export_name == "disk2");
  CHECK(records.of_device(2)->source == "nbd://b");
  records.forget(2);
  CHECK_FALSE(records.of_device(2));
}

TEST_CASE("what is not a record is not taken for one") {
  const made_up_folder folder;
  const attach_records records(folder.path);
  REQUIRE(records.keep_others_out());
  std::filesystem::create_directories(folder.path + "/something");
  std::filesystem::create_directories(folder.path + "/nbd7");
  CHECK(records.all().empty());
}
