// SPDX-License-Identifier: BSD-3-Clause
//
// A server while it is not the master: it touches nothing and answers every request with the master's
// address, as the store has it.
#pragma once

#include "metaserver/base/block_device.h"
#include "metaserver/store/offline.h"
#include "metaserver/wire/messages.h"

#include <optional>
#include <string>

namespace csnap::server {

class standby {
 public:
  // The device outlives the standby. `own_address` is never named as the master's.
  standby(block_device &metadata, const store::geometry &shape, std::string own_address)
      : metadata_(metadata), shape_(shape), own_address_(std::move(own_address)) {}

  // The answer to a request; none to what is no request.
  std::optional<wire::envelope> answer(const wire::envelope &what, boottime_ms now);
  // Somebody else has read the store just now, or the master has said who it is.
  void learn(store::master_record known);
  // As of the last look.
  const store::master_record &known_master() const { return master_; }

 private:
  void look_at_store(boottime_ms now);

  block_device &metadata_;
  const store::geometry shape_;
  const std::string own_address_;
  store::master_record master_;
  std::optional<boottime_ms> looked_;
};

}  // namespace csnap::server
