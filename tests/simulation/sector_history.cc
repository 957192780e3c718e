// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/sector_history.h"

#include "tests/simulation/probes.h"

#include <algorithm>

namespace csnap::simulation {

std::uint64_t sector_history::write_began(range where, write_id id, const void *writer, nanoseconds now) {
  const std::uint64_t number = ++last_number_;
  operations_.emplace(number, operation{where, id, writer, never, false, false});
  for (std::uint64_t s = where.first; s < where.first + where.count; ++s)
    sectors_[s].push_back({id, now, never, false, number});
  return number;
}

void sector_history::write_ended(std::uint64_t number, bool is_durable, nanoseconds now) {
  operation &op = operations_.at(number);
  op.ended = now;
  for (std::uint64_t s = op.where.first; s < op.where.first + op.where.count; ++s) {
    torn_[s] = false;
    for (entry &e : sectors_[s])
      if (e.number == number) e.ended = std::min(e.ended, now), e.durable = e.durable || is_durable;
  }
  if (is_durable) operations_.erase(number);
}

void sector_history::write_failed(std::uint64_t number) { operations_.at(number).failed = true; }

std::string sector_history::read_ended(range where, const std::byte *bytes, nanoseconds began,
                                       nanoseconds now) {
  ++reads_checked_;
  for (std::uint64_t s = where.first; s < where.first + where.count; ++s, bytes += sector_bytes) {
    if (torn_[s] && sectors_[s].empty()) continue;
    const auto id = read_stamp(bytes, volume_, s);
    if (!id && torn_[s]) continue;
    const std::string place = "sector " + std::to_string(s) + " of volume " + std::to_string(volume_);
    if (!id) return place + " reads torn, or as another place";
    past &of = sectors_[s];
    const bool may_be_initial = *id == 0 && !had_power_cut_ && !torn_[s];
    // `seen` was surely overwritten before the read began.
    const auto overwritten = [&](const entry *seen) {
      return std::any_of(of.begin(), of.end(), [&](const entry &other) {
        return &other != seen && (seen == nullptr || seen->ended < other.began) && other.ended < began;
      });
    };
    if (may_be_initial && !overwritten(nullptr)) continue;
    entry *match = nullptr;
    unsigned matches = 0;
    for (entry &e : of)
      if (e.id == *id && e.began <= now && !overwritten(&e)) match = &e, ++matches;
    if (match == nullptr) {
      const bool known = std::any_of(of.begin(), of.end(), [&](const entry &e) { return e.id == *id; });
      return place + " reads write " + std::to_string(*id) +
             (known ? ", which was overwritten before" : ", which is not of its past");
    }
    // What one read saw, every later one sees, or something newer.
    if (matches == 1 && match->ended > now) match->ended = now;
  }
  return {};
}

void sector_history::flushed(const void *writer, nanoseconds began) {
  for (auto at = operations_.begin(); at != operations_.end();) {
    operation &op = at->second;
    if (op.writer != writer || op.failed || op.ended >= began) {
      ++at;
      continue;
    }
    for (std::uint64_t s = op.where.first; s < op.where.first + op.where.count; ++s)
      for (entry &e : sectors_[s])
        if (e.number == at->first) e.durable = true;
    at = operations_.erase(at);
  }
}

std::string sector_history::power_cut(const disk_image &left, nanoseconds now) {
  std::string wrong;
  for (std::uint64_t s = 0; s < sectors_.size(); ++s) {
    past &of = sectors_[s];
    std::byte bytes[sector_bytes];
    left.read(s * sector_bytes, bytes);
    const auto id = read_stamp(bytes, volume_, s);
    const auto older_than_durable = [&](nanoseconds ended) {
      return std::any_of(of.begin(), of.end(), [&](const entry &e) { return e.durable && ended < e.began; });
    };
    bool right = false;
    if (!id) {
      right = torn_[s] || std::any_of(of.begin(), of.end(), [&](const entry &e) {
                return !e.durable && !older_than_durable(e.ended);
              });
    } else {
      right = ((*id == 0 && !had_power_cut_) || torn_[s]) && !older_than_durable(-1);
      for (const entry &e : of) right = right || (e.id == *id && !older_than_durable(e.ended));
      if (of.empty() && torn_[s]) right = true;
    }
    if (!right && wrong.empty())
      wrong = "after a power cut sector " + std::to_string(s) + " of volume " + std::to_string(volume_) +
              (id ? " holds write " + std::to_string(*id) : std::string(" is torn")) +
              ", but a newer one was durable";
    sometimes(probe::unflushed_write_lost, id && std::any_of(of.begin(), of.end(), [&](const entry &e) {
                                             return e.ended < now && e.id != *id && !e.durable;
                                           }));
    of.clear();
    torn_[s] = !id.has_value();
    if (id && *id != 0) of.push_back({*id, -1, -1, true, 0});
    else if (id) of.push_back({0, -1, -1, true, 0});
  }
  operations_.clear();
  had_power_cut_ = true;
  return wrong;
}

}  // namespace csnap::simulation
