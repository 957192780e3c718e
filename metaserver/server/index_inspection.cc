// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/index_inspection.h"

namespace csnap::server {
namespace {

constexpr std::size_t exceptions_in_step = 2048;

}  // namespace

bool index_inspection::step() {
  if (volume_.value == 0 && !next_volume()) return true;
  if (!engine_.volumes().contains(volume_)) return !next_volume();
  const auto &volume = engine_.volumes().at(volume_);
  const std::uint64_t chunk_bytes = engine_.shape().chunk_bytes;
  const chunk_no end{(volume.size_bytes + chunk_bytes - 1) / chunk_bytes};
  chunk_no resume = end;
  const auto some = engine_.list_exceptions(volume_, next_, end, exceptions_in_step, &resume);
  if (!some) {
    finding_ = some.error().text;
    return true;
  }
  for (const store::exception &one : *some) {
    look_at(one);
    if (finding_) return true;
  }
  next_ = resume;
  if (resume < end) return false;
  end_of_volume();
  return finding_.has_value() || !next_volume();
}

bool index_inspection::next_volume() {
  const auto next = engine_.volumes().upper_bound(volume_);
  if (next == engine_.volumes().end()) return false;
  volume_ = next->first;
  next_ = {};
  in_volume_ = 0;
  began_at_ = engine_.last_appended();
  return true;
}

void index_inspection::look_at(const store::exception &one) {
  ++in_volume_;
  ++seen_;
  const std::string which = "volume " + std::to_string(volume_.value) + ", chunk " +
                            std::to_string(one.chunk.value) + ", number " + std::to_string(one.number.value);
  if (!one.place.is_zero() && one.place.value >= engine_.shape().chunk_count)
    finding_ = which + ": its copy lies beyond the store";
  else if (one.number.value == 0 || one.number > engine_.last_snapshot_number())
    finding_ = which + ": that number was never given";
}

void index_inspection::end_of_volume() {
  if (engine_.last_appended() != began_at_ || in_volume_ == engine_.exceptions_of(volume_)) return;
  finding_ = "volume " + std::to_string(volume_.value) + " has " + std::to_string(in_volume_) +
             " exceptions in the index, and " + std::to_string(engine_.exceptions_of(volume_)) +
             " are counted";
}

}  // namespace csnap::server
