// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/core/planted_mistakes.h"

#include "metaserver/base/check.h"

#include <map>
#include <string_view>

namespace csnap::core {

planted_mistakes planted_mistakes::parse(const std::vector<std::string> &names) {
  using self = planted_mistakes;
  static const std::map<std::string_view, bool self::*> switches{
      {"loser_at_once", &self::loser_at_once},
      {"no_recall_wait", &self::no_recall_wait},
      {"holders_early", &self::holders_early},
      {"place_before_durable", &self::place_before_durable},
      {"renew_expired", &self::renew_expired},
      {"old_epoch_ok", &self::old_epoch_ok},
      {"old_ack", &self::old_ack},
      {"join_in_barrier", &self::join_in_barrier},
      {"not_idempotent", &self::not_idempotent},
      {"offer_unchecked", &self::offer_unchecked},
      {"free_at_once", &self::free_at_once},
      {"welcome_never_lost", &self::welcome_never_lost},
      {"forget_requests", &self::forget_requests},
      {"no_grace", &self::no_grace},
      {"reuse_by_time", &self::reuse_by_time},
      {"epoch_first", &self::epoch_first},
      {"dying_unshared", &self::dying_unshared},
      {"lease_without_margin", &self::lease_without_margin},
      {"expired_not_awaited", &self::expired_not_awaited},
      {"dead_not_flushed", &self::dead_not_flushed},
      {"sacrifice_at_once", &self::sacrifice_at_once},
      {"answer_before_durable", &self::answer_before_durable},
      {"copy_after", &self::copy_after},
      {"any_reservation", &self::any_reservation},
      {"reserve_before_durable", &self::reserve_before_durable},
      {"short_grace", &self::short_grace},
      {"bitmap_in_grace", &self::bitmap_in_grace},
      {"sacrifice_held", &self::sacrifice_held},
      {"sacrifice_newest", &self::sacrifice_newest},
      {"sacrifice_any_volume", &self::sacrifice_any_volume},
      {"lost_waits_kept", &self::lost_waits_kept},
      {"resize_wakes_nobody", &self::resize_wakes_nobody},
  };
  planted_mistakes out;
  for (const auto &name : names) {
    const auto found = switches.find(name);
    check(found != switches.end(), "unknown planted mistake");
    out.*(found->second) = true;
  }
  return out;
}

}  // namespace csnap::core
