// SPDX-License-Identifier: BSD-3-Clause
#include "tests/crash/sector_image.h"

#include "metaserver/base/check.h"

#include <algorithm>

namespace csnap::test {

std::span<const std::byte> sector_image::at(std::uint64_t number) const {
  const auto found = changed_.find(number);
  if (found != changed_.end()) return found->second;
  return std::span(*base_).subspan(number * sector_bytes, sector_bytes);
}

void sector_image::put(std::uint64_t number, std::span<const std::byte> bytes) {
  changed_[number].assign(bytes.begin(), bytes.end());
}

result<> sector_image::read(std::uint64_t offset, std::span<std::byte> into) {
  check(offset % sector_bytes == 0 && into.size() % sector_bytes == 0, "metadata I/O is in whole blocks");
  if (offset + into.size() > base_->size()) return fail(errc::invalid, "range");
  std::copy_n(base_->begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
  const std::uint64_t first = offset / sector_bytes, end = (offset + into.size()) / sector_bytes;
  for (auto one = changed_.lower_bound(first); one != changed_.end() && one->first < end; ++one)
    std::copy(one->second.begin(), one->second.end(),
              into.begin() + static_cast<std::ptrdiff_t>(one->first * sector_bytes - offset));
  return {};
}

result<> sector_image::write(std::uint64_t offset, std::span<const std::byte> from, durability) {
  check(offset % sector_bytes == 0 && from.size() % sector_bytes == 0, "metadata I/O is in whole blocks");
  if (offset + from.size() > base_->size()) return fail(errc::invalid, "range");
  for (std::size_t at = 0; at < from.size(); at += sector_bytes)
    put((offset + at) / sector_bytes, from.subspan(at, sector_bytes));
  return {};
}

namespace {

// By sector: what else it may be, beside its durable content; no content twice.
using undecided = std::map<std::uint64_t, std::vector<sector>>;

void add_version(undecided &open, const sector_image &durable, std::uint64_t number,
                 std::span<const std::byte> bytes) {
  const auto same = [&](std::span<const std::byte> other) {
    return std::equal(bytes.begin(), bytes.end(), other.begin(), other.end());
  };
  auto found = open.find(number);
  if (found == open.end()) {
    if (same(durable.at(number))) return;
    found = open.emplace(number, std::vector<sector>()).first;
  }
  // The newest one last: it is what a flush makes durable.
  std::erase_if(found->second, same);
  found->second.emplace_back(bytes.begin(), bytes.end());
}

void add_event(undecided &open, const sector_image &durable, const device_event &e) {
  for (std::size_t at = 0; at < e.bytes.size(); at += sector_bytes)
    add_version(open, durable, (e.offset_bytes + at) / sector_bytes,
                std::span(e.bytes).subspan(at, sector_bytes));
}

void settle(undecided &open, sector_image &durable, const device_event &e) {
  const std::uint64_t first = e.offset_bytes / sector_bytes, end = first + e.bytes.size() / sector_bytes;
  const auto is_settled = [&](const auto &one) {
    return e.is_flush() || (e.how == durability::durable && one.first >= first && one.first < end);
  };
  for (const auto &one : open)
    if (is_settled(one)) durable.put(one.first, one.second.back());
  std::erase_if(open, is_settled);
}

template <class Choose>
sector_image image_of(const sector_image &durable, const undecided &open, const Choose &choose) {
  sector_image image = durable;
  for (const auto &[number, versions] : open)
    if (const std::size_t n = choose(versions.size() + 1); n > 0) image.put(number, versions[n - 1]);
  return image;
}

}  // namespace

void enumerate_crashes(const sector_image &before, const std::vector<device_event> &events,
                       const crash_limits &limits, std::mt19937_64 &random,
                       const std::function<void(sector_image &image, std::size_t event)> &visit) {
  sector_image durable = before;
  undecided open;
  for (std::size_t event = 0; event <= events.size(); ++event) {
    if (event < events.size()) add_event(open, durable, events[event]);
    std::uint64_t choices = 1;
    for (const auto &[number, versions] : open)
      choices = std::min<std::uint64_t>(choices * (versions.size() + 1), std::uint64_t{1} << 32);
    if (open.size() <= limits.all_below_sectors &&
        choices <= (std::uint64_t{1} << limits.all_below_sectors)) {
      for (std::uint64_t n = 0; n < choices; ++n) {
        std::uint64_t rest = n;
        auto image = image_of(durable, open, [&](std::size_t of) {
          const std::size_t one = rest % of;
          rest /= of;
          return one;
        });
        visit(image, event);
      }
    } else {
      for (std::size_t n = 0; n < limits.samples + 2; ++n) {
        auto image = image_of(durable, open, [&](std::size_t of) -> std::size_t {
          return n == 0 ? 0 : n == 1 ? of - 1 : random() % of;
        });
        visit(image, event);
      }
    }
    if (event < events.size()) settle(open, durable, events[event]);
  }
}

}  // namespace csnap::test
