// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/memory_device.h"

#include <algorithm>

namespace csnap::test {
namespace {

error stopped_error() { return fail(errc::io, "memory device: stopped"); }

}  // namespace

result<> memory_device::in_bounds(std::uint64_t offset_bytes, std::uint64_t length_bytes) const {
  if (offset_bytes > current_.size() || length_bytes > current_.size() - offset_bytes)
    return fail(errc::invalid, "memory device: range " + std::to_string(offset_bytes) + "+" +
                                   std::to_string(length_bytes) + " is out of bounds");
  return {};
}

bool memory_device::is_due(operation which) {
  const auto found = faults_.find(which);
  if (found == faults_.end() || --found->second > 0) return false;
  faults_.erase(found);
  return true;
}

result<> memory_device::read(std::uint64_t offset_bytes, std::span<std::byte> into) {
  if (stopped_) return stopped_error();
  if (auto ok = in_bounds(offset_bytes, into.size()); !ok) return ok;
  ++reads_;
  if (is_due(operation::read)) return fail(errc::io, "memory device: read failed");
  std::copy_n(current_.begin() + static_cast<std::ptrdiff_t>(offset_bytes), into.size(), into.begin());
  return {};
}

result<> memory_device::write(std::uint64_t offset_bytes, std::span<const std::byte> from, durability how) {
  if (stopped_) return stopped_error();
  if (auto ok = in_bounds(offset_bytes, from.size()); !ok) return ok;
  if (writes_left_) {
    if (*writes_left_ == 0) {
      stopped_ = true;
      return stopped_error();
    }
    --*writes_left_;
  }
  ++writes_;
  const bool fails = is_due(operation::write);
  const std::size_t done = fails ? from.size() / 2 : from.size();
  std::copy_n(from.begin(), done, current_.begin() + static_cast<std::ptrdiff_t>(offset_bytes));
  note_versions(offset_bytes, done);
  if (fails) return fail(errc::io, "memory device: write failed");
  if (recording_) recording_->push_back({offset_bytes, {from.begin(), from.end()}, how});
  if (how == durability::durable) make_range_durable(offset_bytes, from.size());
  return {};
}

result<> memory_device::zero(std::uint64_t offset_bytes, std::uint64_t length_bytes, bool, durability how) {
  if (auto ok = in_bounds(offset_bytes, length_bytes); !ok) return ok;
  return write(offset_bytes, std::vector<std::byte>(length_bytes), how);
}

result<> memory_device::trim(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  if (stopped_) return stopped_error();
  return in_bounds(offset_bytes, length_bytes);
}

result<> memory_device::flush() {
  if (stopped_) return stopped_error();
  ++flushes_;
  if (is_due(operation::flush)) {
    current_ = durable_;
    unflushed_.clear();
    return fail(errc::io, "memory device: flush failed");
  }
  make_durable();
  return {};
}

void memory_device::note_versions(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  const std::uint64_t end = offset_bytes + length_bytes;
  for (std::uint64_t s = offset_bytes / sector_bytes; s * sector_bytes < end; ++s) {
    const auto first = current_.begin() + static_cast<std::ptrdiff_t>(s * sector_bytes);
    const std::uint64_t size = std::min<std::uint64_t>(sector_bytes, current_.size() - s * sector_bytes);
    unflushed_[s].emplace_back(first, first + static_cast<std::ptrdiff_t>(size));
  }
}

void memory_device::make_range_durable(std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  const std::uint64_t end = offset_bytes + length_bytes;
  for (std::uint64_t s = offset_bytes / sector_bytes; s * sector_bytes < end; ++s) {
    const auto at = static_cast<std::ptrdiff_t>(s * sector_bytes);
    const std::uint64_t size = std::min<std::uint64_t>(sector_bytes, current_.size() - s * sector_bytes);
    std::copy_n(current_.begin() + at, size, durable_.begin() + at);
    unflushed_.erase(s);
  }
}

void memory_device::make_durable() {
  for (const auto &[s, versions] : unflushed_)
    std::copy(versions.back().begin(), versions.back().end(),
              durable_.begin() + static_cast<std::ptrdiff_t>(s * sector_bytes));
  unflushed_.clear();
}

void memory_device::crash(std::mt19937_64 &random) {
  // Now and then everything or nothing of the cache survives; the extremes are worth meeting often.
  const auto mood = random() % 8;
  for (const auto &[s, versions] : unflushed_) {
    const auto at = durable_.begin() + static_cast<std::ptrdiff_t>(s * sector_bytes);
    const auto pick = [&](std::uint64_t n) {  // 0: the durable version stays
      if (n > 0) std::copy(versions[n - 1].begin(), versions[n - 1].end(), at);
    };
    if (mood == 0) continue;
    if (mood == 1) {
      pick(versions.size());
    } else if (random() % 8 == 0) {
      const sector &torn = versions[random() % versions.size()];
      const auto half = static_cast<std::ptrdiff_t>(torn.size() / 2);
      std::copy(torn.begin(), torn.begin() + half, at);
    } else {
      pick(random() % (versions.size() + 1));
    }
  }
  unflushed_.clear();
  current_ = durable_;
  restart();
}

void memory_device::overwrite(std::uint64_t offset_bytes, std::span<const std::byte> bytes) {
  std::copy(bytes.begin(), bytes.end(), current_.begin() + static_cast<std::ptrdiff_t>(offset_bytes));
  make_range_durable(offset_bytes, bytes.size());
}

}  // namespace csnap::test
