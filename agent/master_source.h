// SPDX-License-Identifier: BSD-3-Clause
//
// Who can say where a store's master may be. An agent asks its sources in their order: the word of an election
// engine (announcements.h), the record on the store (store_record.h), a static list (static_list.h).
#pragma once

#include "agent/master_search.h"

#include <functional>
#include <string>
#include <vector>

namespace csnap::agent {

class master_source {
 public:
  // The source's whole knowledge, best first; empty: it knows of no master. Called from the io_context, never
  // from within a call of the source.
  using on_heard = std::function<void(std::vector<master_at>)>;

  virtual ~master_source() = default;
  // Before anything else. A source with news of its own says so unasked.
  virtual void start(on_heard heard) = 0;
  // To be answered by on_heard, soon; not blocking.
  virtual void look() = 0;
  // What keeps it from knowing, for a person; empty: nothing.
  virtual std::string trouble() const { return {}; }
};

}  // namespace csnap::agent
