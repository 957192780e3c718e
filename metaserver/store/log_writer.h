// SPDX-License-Identifier: BSD-3-Clause
//
// The own log: encoded records wait here until a batch takes all of them. One batch is under way at a time,
// so batch k + 1 is never written before k is durable; recovery relies on it (log_reader.h).
#pragma once

#include "metaserver/store/disk_format.h"
#include "metaserver/store/engine.h"

#include <optional>
#include <vector>

namespace csnap::store {

inline constexpr std::size_t log_data_bytes = payload_bytes_max - log_prefix_bytes;

class log_writer {
 public:
  // Blocks before `first_sequence` are not of this term.
  log_writer(const geometry &shape, term_id term, std::uint64_t first_sequence, record_seq last);

  void append(std::span<const std::byte> encoded);
  // Would `extra_bytes` more still fit into the area?
  bool has_space(std::size_t extra_bytes) const;
  bool is_half_full() const;

  std::optional<log_batch> take_batch();
  void batch_durable();

  record_seq last_appended() const { return last_appended_; }
  record_seq last_durable() const { return last_durable_; }
  std::uint64_t next_sequence() const { return next_sequence_; }
  // A durable root says that nothing before `sequence` is needed.
  void release_before(std::uint64_t sequence) { oldest_sequence_ = sequence; }

 private:
  std::uint64_t blocks_used() const;

  geometry shape_;
  term_id term_;
  std::uint64_t oldest_sequence_, next_sequence_;
  std::uint64_t batch_number_ = 0;
  std::uint32_t previous_checksum_ = 0;
  record_seq last_appended_, last_durable_, last_taken_;
  bool batch_under_way_ = false;
  std::vector<std::byte> pending_;
  std::vector<std::size_t> starts_;  // where each pending record begins
};

}  // namespace csnap::store
