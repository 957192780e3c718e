// SPDX-License-Identifier: BSD-3-Clause
//
// Who serves. One interface for all engines; exactly one engine elects for a store. An election only says
// "you are the one": what keeps a stale master from doing harm is the term in the store
// (docs/architecture.md).
#pragma once

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
  };

  virtual ~election() = default;
  // Becomes a candidate and stays one until elected or released. Returns at once.
  virtual void acquire(events what_happens) = 0;
  // No event is called any more; the next in line may be elected.
  virtual void release() = 0;
  // True when two processes can believe at once that they are elected: then the master proves its term from
  // the store before it answers (rule 9).
  virtual bool can_split() const = 0;
};

}  // namespace csnap
