// SPDX-License-Identifier: BSD-3-Clause
//
// The engine's parts, shared by engine*.cc only.
#pragma once

#include "metaserver/store/engine.h"
#include "metaserver/store/log_writer.h"
#include "metaserver/store/store_state.h"

#include <memory>
#include <optional>

namespace csnap::store {

struct engine::impl {
  std::unique_ptr<store_state> state;
  slot own;                       // as it was last written, or is being written
  std::optional<log_writer> log;  // none: opened read-only
  record_seq last_appended;       // of a read-only engine; else the log's
  enum class phase { idle, pages, root } checkpoint = phase::idle;
  root next_root;  // of the checkpoint that is running
  // Slots as they were at the takeover, while predecessors may still be alive; else empty.
  std::vector<slot> unproven;
  enum class proof { none, came, claimed } predecessors = proof::none;  // claimed: by the root under way

  bool may_grow(std::uint64_t more_for_maps = 0) const;
  std::uint64_t pages_per_message() const;
};

}  // namespace csnap::store
