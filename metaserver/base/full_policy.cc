// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/base/full_policy.h"

#include "metaserver/base/check.h"

namespace csnap {

const char *to_text(full_policy policy) {
  switch (policy) {
    case full_policy::error: return "error";
    case full_policy::origin_first: return "origin-first";
    case full_policy::snapshot_first: return "snapshot-first";
  }
  unreachable("policy of a full store");
}

std::optional<full_policy> parse_full_policy(std::string_view text) {
  for (const auto policy : {full_policy::error, full_policy::origin_first, full_policy::snapshot_first})
    if (text == to_text(policy)) return policy;
  return std::nullopt;
}

}  // namespace csnap
