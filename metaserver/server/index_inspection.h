// SPDX-License-Identifier: BSD-3-Clause
//
// Is the index of a serving master consistent? An online check beside the service: it walks the exceptions of
// all volumes in bounded steps (each page that is read proves its checksum, place, store and term) and holds
// them to what must be true of them. It never changes anything. It has a time limit; where that ends it, the
// answer says how far it came.
//
// Records that are appended between two steps are no error: each step sees one state, and what is compared
// over steps is compared only if nothing was appended meanwhile.
#pragma once

#include "metaserver/store/engine.h"

#include <cstdint>
#include <optional>
#include <string>

namespace csnap::server {

class index_inspection {
 public:
  explicit index_inspection(store::engine &engine) : engine_(engine) {}

  // Some exceptions more. True: finished, with or without a finding.
  bool step();
  // What is wrong; none so far.
  const std::optional<std::string> &finding() const { return finding_; }
  std::uint64_t exceptions_seen() const { return seen_; }

 private:
  bool next_volume();
  void look_at(const store::exception &one);
  void end_of_volume();

  store::engine &engine_;
  volume_id volume_;  // 0: not begun
  chunk_no next_;
  record_seq began_at_;
  std::uint64_t in_volume_ = 0, seen_ = 0;
  std::optional<std::string> finding_;
};

}  // namespace csnap::server
