// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/cli/store_target.h"

#include "metaserver/cli/table.h"
#include "metaserver/device/device_use.h"
#include "metaserver/store/engine.h"
#include "metaserver/store/offline.h"

#include <filesystem>

#include <sys/stat.h>

namespace csnap::cli {
namespace {

// "" when there is none. A label that is damaged, or newer than we know, is a store as well.
std::string describe_store(block_device &device) {
  const auto label = store::read_label(device);
  if (!label && label.error().code == errc::not_found) return {};
  if (!label) return "a csnap store that cannot be read (" + label.error().text + ")";
  std::string out = "csnap store " + to_text(label->shape.store) + ", made " +
                    age_text(label->shape.created_unix_ms, unix_ms_now());
  if (label->role == store::device_role::data) return out + " (its data)";
  const auto engine = store::engine::open_read_only(device, 1u << 20);
  if (!engine) return out;
  std::size_t snapshots = 0;
  for (const auto &[id, volume] : (*engine)->volumes()) snapshots += (*engine)->snapshots(id).size();
  return out + ", with " + std::to_string(snapshots) + " snapshots of " +
         std::to_string((*engine)->volumes().size()) + " volumes";
}

result<std::optional<store_lock>> lock_against_servers(const std::string &where) {
  if (is_nbd(where)) return std::optional<store_lock>();
  auto lock = store_lock::open(where, false);
  if (!lock) return lock.error();
  const auto locked = lock->try_lock();
  if (!locked) return locked.error();
  if (!*locked) return fail(errc::busy, where + ": a csnap-metaserver is running on it: stop it first");
  return std::optional<store_lock>(std::move(*lock));
}

}  // namespace

bool is_nbd(const std::string &where) { return where.find("://") != std::string::npos; }

std::string full_name(const std::string &where) {
  std::error_code failed;
  if (is_nbd(where)) return where;
  const auto path = std::filesystem::absolute(where, failed);
  return failed ? where : path.lexically_normal().string();
}

bool is_same_device(const std::string &a, const std::string &b) {
  if (a == b) return true;
  struct stat first {
  }, second{};
  if (is_nbd(a) || is_nbd(b) || ::stat(a.c_str(), &first) != 0 || ::stat(b.c_str(), &second) != 0)
    return false;
  if (S_ISBLK(first.st_mode) && S_ISBLK(second.st_mode)) return first.st_rdev == second.st_rdev;
  return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

result<store_target> claim_device(const std::string &where) {
  if (const auto unused = check_unused(where); !unused) {
    if (unused.error().code != errc::busy) return unused.error();
    return fail(errc::busy, unused.error().text + ": it would be overwritten; free it first");
  }
  store_target out;
  out.name = where;
  auto device = open_device(where, {.read_only = false, .exclusive = true});
  if (!device) return device.error();
  out.device = std::move(*device);
  auto lock = lock_against_servers(where);
  if (!lock) return lock.error();
  if (*lock) out.lock.emplace(std::move(**lock));
  return out;
}

result<store_target> claim_target(const std::string &where, bool force) {
  auto out = claim_device(where);
  if (!out) return out;
  out->destroys = describe_store(*out->device);
  if (!out->destroys.empty() && !force)
    return fail(errc::exists,
                where + " holds " + out->destroys + ": use another device, or --force to destroy it");
  return out;
}

}  // namespace csnap::cli
