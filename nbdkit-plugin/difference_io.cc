// SPDX-License-Identifier: BSD-3-Clause
#include "nbdkit-plugin/difference_io.h"

#include <algorithm>

namespace csnap::plugin {

result<std::vector<export_extent>> difference_io::extents(std::uint64_t offset, std::uint64_t length,
                                                          bool one) {
  std::vector<export_extent> list;
  const std::uint64_t end = offset + length;
  if (what_.older == what_.newer) {
    append_extent(list, {offset, length, extent_hole});
    return list;
  }
  const std::lock_guard lock(mutex_);
  const std::uint64_t chunk = offset / chunk_bytes_;
  if (chunk < known_.first || chunk >= known_.next)
    if (auto r = load(chunk); !r) return r.error();
  append_known(list, offset, std::min(end, known_.next * chunk_bytes_));
  if (one) list.resize(1);
  return list;
}

result<> difference_io::load(std::uint64_t chunk) {
  const auto answer = client_.diff(what_.volume, what_.older, what_.newer, chunk_no{chunk});
  if (!answer) return answer.error();
  window seen{chunk, answer->next.value, {}};
  if (answer->finished) seen.next = (what_.size_bytes + chunk_bytes_ - 1) / chunk_bytes_;
  std::uint64_t at = chunk;
  for (const wire::diff_run &run : answer->runs) {
    if (run.first.value < at || run.count == 0 || run.count > seen.next - run.first.value ||
        run.first.value > seen.next)
      return fail(errc::corrupt,
                  "the server's difference is not in order at chunk " + std::to_string(run.first.value));
    at = run.first.value + run.count;
    seen.runs.push_back(run);
  }
  if (seen.next <= chunk)
    return fail(errc::corrupt, "the server's difference ends before chunk " + std::to_string(chunk));
  known_ = std::move(seen);
  return {};
}

void difference_io::append_known(std::vector<export_extent> &list, std::uint64_t offset,
                                 std::uint64_t end) const {
  const auto chunk_past = [&](const wire::diff_run &run) {
    return (run.first.value + run.count) * chunk_bytes_;
  };
  auto run = std::partition_point(known_.runs.begin(), known_.runs.end(),
                                  [&](const wire::diff_run &r) { return chunk_past(r) <= offset; });
  while (offset < end) {
    const bool any = run != known_.runs.end();
    const std::uint64_t changed_from = any ? std::min(end, run->first.value * chunk_bytes_) : end;
    if (offset < changed_from) {
      append_extent(list, {offset, changed_from - offset, extent_hole});
      offset = changed_from;
      continue;
    }
    const std::uint64_t changed_to = std::min(end, chunk_past(*run));
    append_extent(list, {offset, changed_to - offset, run->zero ? extent_zero : extent_data});
    offset = changed_to;
    ++run;
  }
}

}  // namespace csnap::plugin
