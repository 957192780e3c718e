// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/proof_gate.h"

#include "metaserver/store/offline.h"

#include <iterator>
#include <utility>

namespace csnap::server {

void proof_gate::hold(std::vector<core::output> decided) {
  std::move(decided.begin(), decided.end(), std::back_inserter(held_));
  if (!is_reading_ && !held_.empty()) start_read();
}

void proof_gate::start_read() {
  is_reading_ = true;
  covered_ = held_.size();
  around_.run(
      worker::proof, [this] { read_term(); }, [this] { proved(); });
}

void proof_gate::read_term() {
  const auto newest = store::read_master(metadata_, shape_);
  if (!newest) around_.stop_at_once("the term in the store cannot be read", newest.error());
  if (newest->term > own_)
    around_.stop_at_once("this server is not the master any more",
                         fail(errc::stale, "the store is in term " + to_text(newest->term)));
}

void proof_gate::proved() {
  is_reading_ = false;
  if (planted_.proof_before) covered_ = held_.size();
  for (; covered_ > 0; --covered_) {
    const core::output next = std::move(held_.front());
    held_.pop_front();
    release_(next);
  }
  if (looked_) std::exchange(looked_, nullptr)();
  if (!is_reading_ && !held_.empty()) start_read();
}

}  // namespace csnap::server
