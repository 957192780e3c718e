// SPDX-License-Identifier: BSD-3-Clause
//
// Proof of mastership (rule 9), where an election can split: what the master has decided is held back until a
// read of the store that began after the decision still shows no term above its own. One read serves all that
// waits. A master that finds a higher term, or cannot read, stops.
#pragma once

#include "metaserver/base/block_device.h"
#include "metaserver/server/environment.h"
#include "metaserver/server/planted_mistakes.h"
#include "metaserver/store/geometry.h"

#include <deque>
#include <functional>
#include <vector>

namespace csnap::server {

class proof_gate {
 public:
  proof_gate(server_environment &around, block_device &metadata, const store::geometry &shape, term_id own,
             std::function<void(const core::output &)> release, planted_mistakes planted = {})
      : around_(around),
        metadata_(metadata),
        shape_(shape),
        own_(own),
        release_(std::move(release)),
        planted_(planted) {}

  // In order. Nothing is released from within this call.
  void hold(std::vector<core::output> decided);
  // Reads the term, if no read is under way: a master that nobody asks must notice too that it is over. Calls `then`
  // if it is not.
  void look(std::function<void()> then) {
    if (is_reading_) return;
    looked_ = std::move(then);
    start_read();
  }

 private:
  void start_read();
  void read_term();
  void proved();

  server_environment &around_;
  block_device &metadata_;
  const store::geometry shape_;
  const term_id own_;
  const std::function<void(const core::output &)> release_;
  const planted_mistakes planted_;
  std::deque<core::output> held_;
  std::size_t covered_ = 0;  // so many at the front were there when the read began
  bool is_reading_ = false;
  std::function<void()> looked_;
};

}  // namespace csnap::server
