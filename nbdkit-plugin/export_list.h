// SPDX-License-Identifier: BSD-3-Clause
//
// What a client sees that asks for the exports: origins and snapshots with a description each. Differences
// are never listed: there are as many as pairs of snapshots.
#pragma once

#include "metaserver/wire/messages.h"

#include <functional>
#include <string>
#include <vector>

namespace csnap::plugin {

inline constexpr std::size_t exports_max = 10000;  // beyond it nbdkit fails the whole list

struct listed_export {
  std::string name;
  std::string description;
};
struct export_list {
  std::vector<listed_export> exports;
  bool is_cut = false;  // there are more than exports_max
};

using list_pages = std::function<result<wire::list_reply>(const wire::list &)>;
result<export_list> list_exports(const list_pages &ask);

// "origin volume, 64 MiB, 3 snapshots"
std::string describe_origin(std::uint64_t size_bytes, std::uint64_t snapshot_count);
// "snapshot 5 of VOL, 2026-11-22 10:00:00Z"
std::string describe_snapshot(const std::string &volume, snapshot_number number,
                              std::uint64_t created_unix_ms);

}  // namespace csnap::plugin
