// SPDX-License-Identifier: BSD-3-Clause
//
// What may happen only when a record is durable, in the order of the records.
#pragma once

#include "metaserver/base/ids.h"

#include <algorithm>
#include <functional>
#include <map>

namespace csnap::core {

class durable_queue {
 public:
  explicit durable_queue(record_seq durable) : durable_(durable) {}

  // At once if the record is durable already.
  void when(record_seq record, std::function<void()> then) {
    if (record <= durable_) then();
    else waiting_.emplace(record, std::move(then));
  }
  // Record by record: who looks from within sees nothing durable whose own consequences are still to come.
  void advance(record_seq durable) {
    while (!waiting_.empty() && waiting_.begin()->first <= durable) {
      durable_ = std::max(durable_, waiting_.begin()->first);
      const auto then = std::move(waiting_.begin()->second);
      waiting_.erase(waiting_.begin());
      then();
    }
    durable_ = std::max(durable_, durable);
  }

 private:
  record_seq durable_;
  std::multimap<record_seq, std::function<void()>> waiting_;
};

}  // namespace csnap::core
