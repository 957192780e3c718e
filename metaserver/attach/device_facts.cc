// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/attach/device_facts.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace csnap::attach {
namespace {

constexpr std::uint32_t index_max = 4095;
constexpr std::uint64_t sector_bytes = 512;  // of sysfs, whatever the device's block

std::string first_line(const std::string &path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::vector<std::string> names_in(const std::string &folder) {
  std::vector<std::string> out;
  std::error_code none;
  for (const auto &entry : std::filesystem::directory_iterator(folder, none))
    out.push_back(entry.path().filename());
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

result<std::uint32_t> parse_device(const std::string &typed) {
  std::string_view rest = typed;
  if (rest.starts_with("/dev/")) rest.remove_prefix(5);
  std::uint32_t index = 0;
  if (rest.starts_with("nbd")) {
    rest.remove_prefix(3);
    const auto [end, problem] = std::from_chars(rest.data(), rest.data() + rest.size(), index);
    if (problem == std::errc() && end == rest.data() + rest.size() && index <= index_max) return index;
  }
  return fail(errc::invalid, "'" + typed + "' is no nbd device: /dev/nbdN");
}

std::string device_path(std::uint32_t index) { return "/dev/nbd" + std::to_string(index); }

std::string device_identifier(const std::string &export_name) { return "csnap:" + export_name; }

device_facts::device_facts(std::uint32_t index, std::string root)
    : root_(std::move(root)), name_("nbd" + std::to_string(index)), folder_(root_ + "/sys/block/" + name_) {}

std::string device_facts::attribute(const std::string &name) const {
  return first_line(folder_ + "/" + name);
}

std::optional<std::string> device_facts::attached_by() const {
  const std::string pid = attribute("pid");
  if (pid.empty()) return {};
  return pid;
}

std::string device_facts::identifier() const { return attribute("backend"); }

std::uint64_t device_facts::size_bytes() const {
  return std::strtoull(attribute("size").c_str(), nullptr, 10) * sector_bytes;
}

std::string device_facts::mounted_at() const {
  std::set<std::string> numbers{attribute("dev")};
  for (const std::string &each : names_in(folder_))
    if (each.starts_with(name_ + "p")) numbers.insert(attribute(each + "/dev"));
  std::ifstream mounts(root_ + "/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string id, parent, number, subtree, place;
    fields >> id >> parent >> number >> subtree >> place;
    if (numbers.contains(number)) return place;
  }
  return "";
}

std::string device_facts::user() const {
  if (const std::string place = mounted_at(); !place.empty()) return "mounted at " + place;
  for (const std::string &holder : names_in(folder_ + "/holders")) return "in use by " + holder;
  // What is not in this namespace: a mount, swap or a volume group holds it exclusively.
  const int fd = ::open((root_ + "/dev/" + name_).c_str(), O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return errno == EBUSY ? "in use (swap, or mounted in another namespace)" : "";
  ::close(fd);
  return "";
}

result<> device_facts::set_request_timer_ms(std::uint32_t ms) const {
  std::ofstream file(folder_ + "/queue/io_timeout");
  file << ms << std::flush;
  if (!file) return fail(errc::io, folder_ + "/queue/io_timeout cannot be written");
  return {};
}

}  // namespace csnap::attach
