// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/base/names.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>

namespace csnap {
namespace {

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// A name from a peer may hold anything: show it so that it cannot play with a terminal or a log.
std::string printable(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, 80)) out += (c >= ' ' && c <= '~') ? c : '?';
  return text.size() > 80 ? out + "..." : out;
}

}  // namespace

bool is_valid_name(std::string_view name) {
  if (name.empty() || name.size() > name_length_max || !is_alphanumeric(name[0])) return false;
  const bool known = std::all_of(name.begin(), name.end(), [](char c) {
    return is_alphanumeric(c) || c == '.' || c == '_' || c == '-';
  });
  return known && name.find("..") == std::string_view::npos;
}

bool is_valid_tag(std::string_view tag) { return tag.size() <= tag_length_max && is_valid_name(tag); }

error invalid_name(std::string_view kind, std::string_view name) {
  return fail(errc::invalid, std::string(kind) + " name '" + printable(name) +
                                 "' is not valid: use 1 to 64 letters, digits, '.', '_' or '-', a letter "
                                 "or digit first, without '..'");
}

result<snapshot_name> parse_snapshot_name(std::string_view text) {
  const auto at = text.find('@');
  if (at == std::string_view::npos)
    return fail(errc::invalid, "'" + printable(text) + "' names no snapshot: write VOLUME@SNAPSHOT");
  const auto volume = text.substr(0, at);
  const auto snapshot = text.substr(at + 1);
  if (!is_valid_name(volume)) return invalid_name("volume", volume);
  if (!is_valid_name(snapshot)) return invalid_name("snapshot", snapshot);
  return snapshot_name{std::string(volume), std::string(snapshot)};
}

result<export_name> parse_export_name(std::string_view text) {
  const auto at = text.find('@');
  const auto volume = text.substr(0, at);
  if (!is_valid_name(volume)) return invalid_name("volume", volume);
  if (at == std::string_view::npos) return export_name{std::string(volume), {}, {}};
  const auto rest = text.substr(at + 1);
  const auto dots = rest.find("..");
  const auto first = rest.substr(0, dots);
  if (!is_valid_name(first)) return invalid_name("snapshot", first);
  if (dots == std::string_view::npos) return export_name{std::string(volume), std::string(first), {}};
  const auto second = rest.substr(dots + 2);
  if (!is_valid_name(second)) return invalid_name("snapshot", second);
  return export_name{std::string(volume), std::string(second), std::string(first)};
}

result<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view suffix(end, static_cast<std::size_t>(text.data() + text.size() - end));
  unsigned shift = 0;
  if (suffix == "K" || suffix == "k") shift = 10;
  else if (suffix == "M" || suffix == "m") shift = 20;
  else if (suffix == "G" || suffix == "g") shift = 30;
  else if (suffix == "T" || suffix == "t") shift = 40;
  else if (!suffix.empty()) shift = 64;
  if (ec != std::errc{} || shift == 64 || (value << shift) >> shift != value)
    return fail(errc::invalid,
                "'" + printable(text) + "' is not a size: write bytes, or a number with K, M, G or T");
  return value << shift;
}

std::string format_size(std::uint64_t bytes) {
  static constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < units.size()) value /= 1024, ++unit;
  char out[32];
  const bool is_whole = value == static_cast<double>(static_cast<std::uint64_t>(value));
  std::snprintf(out, sizeof out, is_whole ? "%.0f %s" : "%.1f %s", value, units[unit]);
  return out;
}

}  // namespace csnap
