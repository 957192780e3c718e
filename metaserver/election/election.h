// SPDX-License-Identifier: BSD-3-Clause
//
// Who serves. One interface for all engines; exactly one engine elects for a store. An election only says
// "you are the one": what keeps a stale master from doing harm is the term in the store
// (docs/architecture.md).
#pragma once

#include "metaserver/base/ids.h"

#include <cstdint>
#include <functional>
#include <string>

namespace csnap {

class election {
 public:
  struct events {
    // Called once, from the io_context, when this process is elected. The counter of its term must be above
    // `term_counter` and above the store's.
    std::function<void(std::uint64_t term_counter)> acquired;
    // Called at most once: this process is not elected, or not any more; acknowledge nothing from now on.
    std::function<void(const std::string &why)> lost;
    // Another server says that it is the master: where standbys send clients. May be empty.
    std::function<void(const std::string &address, term_id term)> announced = {};
  };

  virtual ~election() = default;
  // Becomes a candidate and stays one until elected or released. Returns at once.
  virtual void acquire(events what_happens) = 0;
  // To the other candidates: this process is the master now, here. (The store has it too.)
  virtual void announce(const std::string &, term_id) {}
  // No event is called any more; the next in line may be elected.
  virtual void release() = 0;
  // True when two processes can believe at once that they are elected: then the master proves its term from
  // the store before it answers (rule 9).
  virtual bool can_split() const = 0;
};

}  // namespace csnap
