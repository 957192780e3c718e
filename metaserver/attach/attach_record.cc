// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/attach/attach_record.h"

#include "metaserver/attach/device_facts.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <sys/file.h>

namespace csnap::attach {
namespace {

// A process's own lock: F_GETLK then tells who has it.
struct flock whole_file(short kind) {
  struct flock out {};
  out.l_type = kind;
  out.l_whence = SEEK_SET;
  return out;
}

}  // namespace

std::string attach_records::path(std::uint32_t index) const {
  return folder_ + "/nbd" + std::to_string(index);
}

result<owned_fd> attach_records::keep_others_out() const {
  std::error_code problem;
  std::filesystem::create_directories(folder_, problem);
  std::filesystem::permissions(folder_, std::filesystem::perms::owner_all, problem);
  owned_fd folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder)
    return fail(errc::io, folder_ + ": " + std::strerror(errno) + " (attach and detach need root)");
  if (::flock(folder.get(), LOCK_EX) != 0) return fail(errc::io, folder_ + ": " + std::strerror(errno));
  return folder;
}

result<owned_fd> attach_records::take(std::uint32_t index, const std::string &export_name,
                                      const std::string &source) const {
  owned_fd file(::open(path(index).c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return fail(errc::io, path(index) + ": " + std::strerror(errno));
  auto lock = whole_file(F_WRLCK);
  if (::fcntl(file.get(), F_SETLK, &lock) != 0)
    return fail(errc::busy, device_path(index) + " has a supervisor already");
  const std::string text = export_name + "\n" + source + "\n";
  if (::ftruncate(file.get(), 0) != 0 ||
      ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return fail(errc::io, path(index) + ": " + std::strerror(errno));
  return file;
}

void attach_records::forget(std::uint32_t index) const { ::unlink(path(index).c_str()); }

std::optional<attached_device> attach_records::of_device(std::uint32_t index) const {
  const owned_fd file(::open(path(index).c_str(), O_RDWR | O_CLOEXEC));
  if (!file) return {};
  attached_device out;
  out.index = index;
  std::ifstream text(path(index));
  std::getline(text, out.export_name);
  std::getline(text, out.source);
  auto lock = whole_file(F_WRLCK);
  if (::fcntl(file.get(), F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) out.supervisor = lock.l_pid;
  return out;
}

std::vector<attached_device> attach_records::all() const {
  std::vector<attached_device> out;
  std::error_code none;
  for (const auto &entry : std::filesystem::directory_iterator(folder_, none))
    if (const auto index = parse_device(entry.path().filename()))
      if (auto found = of_device(*index)) out.push_back(std::move(*found));
  return out;
}

std::optional<attached_device> attach_records::of_export(const std::string &export_name) const {
  for (attached_device &each : all())
    if (each.export_name == export_name) return std::move(each);
  return {};
}

}  // namespace csnap::attach
