// SPDX-License-Identifier: BSD-3-Clause
//
// Names that people type. A volume's or snapshot's name is [A-Za-z0-9][A-Za-z0-9._-]{0,63}; and, since
// ".." separates two snapshots in an export's name, it holds no "..".
#pragma once

#include "metaserver/base/result.h"

#include <string>
#include <string_view>

namespace csnap {

inline constexpr std::size_t name_length_max = 64;
// The tags of holds on snapshots: names, shorter, so that all of a snapshot's fit into one catalog entry.
inline constexpr std::size_t tag_length_max = 32;
inline constexpr std::size_t holds_max = 7;  // on one snapshot

bool is_valid_name(std::string_view name);
bool is_valid_tag(std::string_view tag);
// The one-line reason that people see for a name that is refused.
error invalid_name(std::string_view kind, std::string_view name);

// "VOL@SNAP"
struct snapshot_name {
  std::string volume;
  std::string snapshot;
};
result<snapshot_name> parse_snapshot_name(std::string_view text);

// "VOL", "VOL@SNAP" or "VOL@A..B"; which one is told by what is empty.
struct export_name {
  std::string volume;
  std::string snapshot;  // B for a difference
  std::string since;     // A for a difference
  bool is_origin() const { return snapshot.empty(); }
  bool is_difference() const { return !since.empty(); }
};
result<export_name> parse_export_name(std::string_view text);

// A number with an optional K, M, G or T (powers of 1024).
result<std::uint64_t> parse_size(std::string_view text);
// 1536 -> "1.5 KiB"
std::string format_size(std::uint64_t bytes);

}  // namespace csnap
