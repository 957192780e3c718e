// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/cli/diff_runs.h"

#include <algorithm>

namespace csnap::cli {

bool append_runs(std::vector<byte_run> &out, const std::vector<wire::diff_run> &runs,
                 std::uint64_t chunk_bytes, std::uint64_t size_bytes) {
  const std::uint64_t chunks = size_bytes / chunk_bytes + (size_bytes % chunk_bytes != 0);
  for (const wire::diff_run &run : runs) {
    if (run.first.value >= chunks) continue;  // chunks that the volume has lost since
    const std::uint64_t count = std::min(run.count, chunks - run.first.value);
    const std::uint64_t begin = run.first.value * chunk_bytes;
    const std::uint64_t end = std::min((run.first.value + count) * chunk_bytes, size_bytes);
    const std::uint64_t last_end = out.empty() ? 0 : out.back().offset + out.back().length;
    if (begin < last_end || count == 0) return false;
    if (!out.empty() && begin == last_end && out.back().zero == run.zero) out.back().length += end - begin;
    else out.push_back({begin, end - begin, run.zero});
  }
  return true;
}

}  // namespace csnap::cli
