// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/log_writer.h"

#include "metaserver/base/byte_writer.h"
#include "metaserver/store/block.h"

#include <algorithm>

namespace csnap::store {

log_writer::log_writer(const geometry &shape, term_id term, std::uint64_t first_sequence, record_seq last)
    : shape_(shape),
      term_(term),
      oldest_sequence_(first_sequence),
      next_sequence_(first_sequence),
      last_appended_(last),
      last_durable_(last),
      last_taken_(last) {}

std::uint64_t log_writer::blocks_used() const {
  return next_sequence_ - oldest_sequence_ + (pending_.size() + log_data_bytes - 1) / log_data_bytes;
}

bool log_writer::has_space(std::size_t extra_bytes) const {
  return blocks_used() + extra_bytes / log_data_bytes + 2 <= shape_.log_blocks;
}

bool log_writer::is_half_full() const { return blocks_used() >= shape_.log_blocks / 2; }

void log_writer::append(std::span<const std::byte> encoded) {
  check(has_space(encoded.size()), "append to a full log: has_room() was not asked");
  starts_.push_back(pending_.size());
  pending_.insert(pending_.end(), encoded.begin(), encoded.end());
  ++last_appended_.value;
}

std::optional<log_batch> log_writer::take_batch() {
  if (pending_.empty() || batch_under_way_) return std::nullopt;
  log_batch batch;
  batch.last = last_appended_;
  ++batch_number_;
  const std::uint64_t area = shape_.logs_offset_bytes / block_bytes + term_.node * shape_.log_blocks;
  const std::size_t blocks = (pending_.size() + log_data_bytes - 1) / log_data_bytes;
  std::size_t start = 0;
  for (std::size_t i = 0; i < blocks; ++i, ++next_sequence_) {
    const std::size_t begin = i * log_data_bytes, end = std::min(begin + log_data_bytes, pending_.size());
    const bool begins = start < starts_.size() && starts_[start] < end;
    byte_writer payload;
    payload.u64(batch_number_);
    payload.u64(begins ? last_taken_.value + 1 + start : 0);
    payload.u32(previous_checksum_);
    payload.u32(static_cast<std::uint32_t>(i));
    payload.raw(std::span(pending_).subspan(begin, end - begin));
    while (start < starts_.size() && starts_[start] < end) ++start;

    block_header header;
    header.type = block_type::log;
    header.block = area + next_sequence_ % shape_.log_blocks;
    header.store = shape_.store;
    header.term = term_;
    header.sequence = next_sequence_;
    header.detail = (i == 0 ? log_first_of_batch : 0) | (i + 1 == blocks ? log_last_of_batch : 0);
    const auto block = seal_block(header, payload.bytes());
    previous_checksum_ = stored_checksum(block);
    if (i == 0 || header.block == area) batch.writes.push_back({header.block * block_bytes, {}});
    auto &bytes = batch.writes.back().bytes;
    bytes.insert(bytes.end(), block.begin(), block.end());
  }
  last_taken_ = last_appended_;
  batch_under_way_ = true;
  pending_.clear();
  starts_.clear();
  return batch;
}

void log_writer::batch_durable() {
  check(batch_under_way_, "no batch is under way");
  batch_under_way_ = false;
  last_durable_ = last_taken_;
}

}  // namespace csnap::store
