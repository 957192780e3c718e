// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/device/device_use.h"

#include "metaserver/device/open_device.h"
#include "metaserver/device/positioned_io.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace csnap {

namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path &path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

// The mount point of a "MAJOR:MINOR", or "".
std::string mount_point_of(const std::string &device_number) {
  std::ifstream in("/proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields(line);
    std::string id, parent, number, root, point;
    if (fields >> id >> parent >> number >> root >> point && number == device_number) return point;
  }
  return {};
}

bool is_swap(dev_t number) {
  std::ifstream in("/proc/swaps");
  std::string line;
  std::getline(in, line);  // the heading
  while (std::getline(in, line)) {
    const std::string name = line.substr(0, line.find_first_of(" \t"));
    struct stat about {};
    if (::stat(name.c_str(), &about) == 0 && S_ISBLK(about.st_mode) && about.st_rdev == number) return true;
  }
  return false;
}

dev_t parse_device_number(const std::string &text) {
  unsigned high = 0, low = 0;
  char colon = 0;
  std::istringstream(text) >> high >> colon >> low;
  return makedev(high, low);
}

// How one block device (a disk or a partition) is used, or "".
std::string use_of_one(const fs::path &sys, const std::string &number) {
  if (const std::string point = mount_point_of(number); !point.empty()) return "mounted on " + point;
  if (is_swap(parse_device_number(number))) return "used as swap";
  std::error_code ignored;
  for (const auto &holder : fs::directory_iterator(sys / "holders", ignored))
    return "held by " + holder.path().filename().string();
  return {};
}

std::string use_of_block(const std::string &where, dev_t device) {
  const std::string number = std::to_string(major(device)) + ":" + std::to_string(minor(device));
  const fs::path sys = fs::path("/sys/dev/block") / number;
  if (const std::string use = use_of_one(sys, number); !use.empty()) return use;
  std::error_code ignored;
  for (const auto &entry : fs::directory_iterator(sys, ignored)) {
    if (!fs::exists(entry.path() / "partition", ignored)) continue;
    const std::string use = use_of_one(entry.path(), first_line(entry.path() / "dev"));
    if (!use.empty()) return "in use: its partition " + entry.path().filename().string() + " is " + use;
  }
  const auto claimed = open_device(where, {.read_only = true, .exclusive = true});
  if (!claimed && claimed.error().code == errc::busy) return "claimed by the kernel";
  return {};
}

std::string use_of_file(const struct stat &file) {
  std::error_code ignored;
  for (const auto &disk : fs::directory_iterator("/sys/block", ignored)) {
    const std::string backing = first_line(disk.path() / "loop" / "backing_file");
    struct stat about {};
    if (!backing.empty() && ::stat(backing.c_str(), &about) == 0 && about.st_dev == file.st_dev &&
        about.st_ino == file.st_ino)
      return "attached to /dev/" + disk.path().filename().string();
  }
  return {};
}

}  // namespace

result<> check_unused(std::string_view where) {
  if (where.find("://") != std::string_view::npos) return {};
  const std::string path(where);
  struct stat about {};
  if (::stat(path.c_str(), &about) != 0) return system_error_at(path, errno);
  std::string use;
  if (S_ISBLK(about.st_mode)) use = use_of_block(path, about.st_rdev);
  else if (S_ISREG(about.st_mode)) use = use_of_file(about);
  else return fail(errc::invalid, path + ": neither a block device nor a regular file");
  if (!use.empty()) return fail(errc::busy, path + " is " + use);
  return {};
}

}  // namespace csnap
