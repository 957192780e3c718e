// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/planted_mistakes.h"

#include "metaserver/base/check.h"

#include <map>
#include <string_view>

namespace csnap::store {
namespace {

using self = planted_mistakes;

const std::map<std::string_view, bool self::*> &switches() {
  static const std::map<std::string_view, bool self::*> all{
      {"checksum_ignored", &self::checksum_ignored},
      {"address_ignored", &self::address_ignored},
      {"stale_page_ok", &self::stale_page_ok},
      {"no_flush_before_root", &self::no_flush_before_root},
      {"recovery_not_flushed", &self::recovery_not_flushed},
      {"reuse_before_durable", &self::reuse_before_durable},
      {"root_by_sequence_only", &self::root_by_sequence_only},
      {"tail_hides_corruption", &self::tail_hides_corruption},
      {"split_loses_right", &self::split_loses_right},
      {"ack_before_write", &self::ack_before_write},
      {"mirror_not_written", &self::mirror_not_written},
      {"dead_areas_at_once", &self::dead_areas_at_once},
      {"claims_not_compared", &self::claims_not_compared},
      {"replay_first", &self::replay_first},
  };
  return all;
}

}  // namespace

planted_mistakes planted_mistakes::parse(const std::vector<std::string> &names) {
  planted_mistakes out;
  for (const auto &name : names) {
    const auto found = switches().find(name);
    check(found != switches().end(), "unknown planted mistake");
    out.*(found->second) = true;
  }
  return out;
}

std::vector<std::string> planted_mistakes::names() {
  std::vector<std::string> out;
  for (const auto &[name, flag] : switches()) out.emplace_back(name);
  return out;
}

}  // namespace csnap::store
