// SPDX-License-Identifier: BSD-3-Clause
#include "nbdkit-plugin/origin_io.h"

#include <algorithm>

namespace csnap::plugin {

using client::admission;

result<> origin_io::write(std::uint64_t offset, std::span<const std::byte> from, durability how) {
  return in_pieces(offset, from.size(), piece_chunks, [&](std::uint64_t at, std::uint64_t length) {
    return device_.write(at, from.subspan(at - offset, length), how);
  });
}

result<> origin_io::zero(std::uint64_t offset, std::uint64_t length, bool may_unmap, durability how) {
  return in_pieces(offset, length, piece_chunks, [&](std::uint64_t at, std::uint64_t count) {
    return device_.zero(at, count, may_unmap, how);
  });
}

result<> origin_io::trim(std::uint64_t offset, std::uint64_t length, durability how) {
  const auto trimmed = in_pieces(offset, length, piece_chunks, [&](std::uint64_t at, std::uint64_t count) {
    return device_.trim(at, count);
  });
  if (!trimmed || how == durability::cached) return trimmed;
  return device_.flush();
}

result<> origin_io::in_pieces(std::uint64_t offset, std::uint64_t length, std::uint64_t chunks_at_once,
                              const device_write &op) {
  const std::uint64_t end = offset + length;
  const std::uint64_t begin = offset;
  while (offset < end) {
    if (offset != begin && client_.interrupted())
      return fail(errc::shutting_down, "interrupted in a long write");
    const std::uint64_t stop = std::min(end, chunk_end(offset, chunks_at_once));
    if (auto r = one_piece(offset, stop - offset, op); !r) return r;
    offset = stop;
  }
  return {};
}

result<> origin_io::one_piece(std::uint64_t offset, std::uint64_t length, const device_write &op) {
  const chunk_no first{offset / chunk_bytes_};
  const std::uint64_t count = (offset + length - 1) / chunk_bytes_ - first.value + 1;
  for (int round = 0;; ++round) {
    if (round == rounds_together && count > 1) return in_pieces(offset, length, 1, op);
    if (round > 0 && client_.interrupted()) return fail(errc::shutting_down, "interrupted while copying out");
    if (pass_->begin(first, count, client_.now())) {
      const auto written = op(offset, length);
      if (pass_->end()) client_.write_drained();
      return written;
    }
    const auto verdict = client_.begin_write(volume_, first, count);
    if (!verdict) return verdict.error();
    switch (verdict->what) {
      case admission::admitted: {
        const auto written = op(offset, length);
        client_.end_write(volume_);
        return written;
      }
      case admission::copy_first:
        if (planted_.skip_copy_out) return op(offset, length);
        if (auto r = copies_.run(verdict->shared, verdict->epoch); !r) return r;
        break;
      case admission::gone:
        return fail(errc::gone,
                    "this session may not write volume " + std::to_string(volume_.value) + " any more");
      case admission::wait: unreachable("volume_client::begin_write said wait");
    }
  }
}

}  // namespace csnap::plugin
