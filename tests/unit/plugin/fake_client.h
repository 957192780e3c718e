// SPDX-License-Identifier: BSD-3-Clause
//
// Client and server in one, for the data path's tests: one origin volume whose chunks are shared from
// snapshot() on until they are committed. Each commit is held against what the origin was when its epoch
// began, and against what is durable on the store: a wrong copy, a copy in the wrong epoch, or one that was
// not flushed is found.
#pragma once

#include "fake_device.h"
#include "nbdkit-plugin/volume_client.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <set>

namespace csnap::test {

class fake_client final : public plugin::volume_client {
 public:
  static constexpr std::uint32_t chunk_bytes = 4096;

  fake_client(fake_device &origin, fake_device &store) : origin_(origin), store_(store) { snapshot(); }

  // ---- for the tests ----
  // A barrier: waits until no write is in flight, then every chunk is shared.
  void snapshot() {
    std::unique_lock lock(mutex_);
    frozen_ = true;
    idle_.wait(lock, [&] { return in_flight_ == 0; });
    ++epoch_.number.value;
    unshared_.clear();
    images_[epoch_.number.value] = origin_.content();
    frozen_ = false;
    idle_.notify_all();
  }
  // What snapshot `number` reads: the first exception at or after it, else the origin.
  std::vector<std::byte> read_snapshot(std::uint64_t number) {
    auto bytes = origin_.content();
    for (std::uint64_t c = 0; c * chunk_bytes < bytes.size(); ++c) {
      const auto e = exceptions_.lower_bound({c, number});
      if (e == exceptions_.end() || e->first.first != c) continue;
      std::copy(e->second.begin(), e->second.end(),
                bytes.begin() + static_cast<std::ptrdiff_t>(c * chunk_bytes));
    }
    return bytes;
  }
  const std::vector<std::byte> &image(std::uint64_t number) { return images_.at(number); }
  epoch_id epoch() {
    const std::lock_guard lock(mutex_);
    return epoch_;
  }

  std::uint32_t pool_left = 1u << 30;
  std::uint32_t contiguous = 1u << 30;  // a gap after so many chunks
  std::atomic<bool> stop{false};
  std::atomic<unsigned> commits{0}, entries{0}, zero_entries{0}, copies_lost{0}, wrong_copies{0}, returned{0},
      asked{0};
  std::uint64_t longest_write = 0;
  int stale_answers = 0;         // to be given to the next commits
  int never_admit_together = 0;  // so many writes of several chunks are sent back

  // ---- volume_client ----
  result<client::write_verdict> begin_write(volume_id, chunk_no first, std::uint64_t count) override {
    std::unique_lock lock(mutex_);
    ++asked;
    longest_write = std::max(longest_write, count);
    idle_.wait(lock, [&] { return !frozen_; });
    client::write_verdict verdict;
    verdict.epoch = epoch_;
    for (std::uint64_t c = first.value; c < first.value + count; ++c)
      if (!unshared_.contains(c)) verdict.shared.push_back(chunk_no{c});
    if (count > 1 && never_admit_together > 0) {
      --never_admit_together;
      verdict.shared = {first};
    }
    verdict.what = verdict.shared.empty() ? client::admission::admitted : client::admission::copy_first;
    if (verdict.shared.empty()) ++in_flight_;
    return verdict;
  }
  void end_write(volume_id) override {
    const std::lock_guard lock(mutex_);
    check(in_flight_-- > 0, "a write ended that never began");
    idle_.notify_all();
  }
  boottime_ms now() override { return {}; }
  void write_drained() override {}
  result<std::vector<client::reserved_chunk>> take_reserved(volume_id, std::uint32_t wanted, bool) override {
    const std::lock_guard lock(mutex_);
    if (pool_left == 0) return fail(errc::no_space, "the store is full");
    const std::uint32_t count = std::min({wanted, pool_left, contiguous});
    pool_left -= count;
    std::vector<client::reserved_chunk> taken;
    for (std::uint32_t i = 0; i < count; ++i)
      taken.push_back({reservation_id{1}, store_chunk{next_place_++}});
    if (count == contiguous) ++next_place_;
    return taken;
  }
  void return_unused(std::span<const client::reserved_chunk> chunks) override {
    returned += static_cast<unsigned>(chunks.size());
  }
  result<wire::committed> commit(wire::commit what) override {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    const std::lock_guard lock(mutex_);
    ++commits;
    wire::committed answer;
    answer.stale_epoch = what.epoch != epoch_ || stale_answers > 0;
    if (stale_answers > 0) --stale_answers;
    answer.outcomes.resize(what.entries.size());
    for (std::size_t i = 1; i < what.entries.size(); ++i)
      check(what.entries[i - 1].chunk < what.entries[i].chunk, "commit entries are not in order");
    if (answer.stale_epoch) return answer;
    for (const wire::commit_entry &e : what.entries) take(e);
    return answer;
  }
  result<client::read_plan> begin_read(volume_id, snapshot_number, chunk_no, std::uint64_t) override {
    return fail(errc::unsupported, "this client only writes");
  }
  bool finish_read(volume_id, snapshot_number, chunk_no, const client::read_plan &) override { return false; }
  const client::read_watch &watch() const override { return no_reads; }
  result<wire::diff_reply> diff(volume_id, snapshot_number, snapshot_number, chunk_no) override {
    return fail(errc::unsupported, "this client only writes");
  }
  bool interrupted() override { return stop; }

 private:
  void take(const wire::commit_entry &e) {
    ++entries;
    if (unshared_.contains(e.chunk.value)) {
      ++copies_lost;  // the loser of a race: dropped unseen
      return;
    }
    std::vector<std::byte> copy(chunk_bytes);
    if (e.place.is_zero()) ++zero_entries;
    else copy = store_.durable(e.place.value * chunk_bytes, chunk_bytes);
    std::vector<std::byte> wanted(chunk_bytes);
    const auto &image = images_.at(epoch_.number.value);
    const std::uint64_t begin = e.chunk.value * chunk_bytes;
    std::copy_n(image.begin() + static_cast<std::ptrdiff_t>(begin),
                std::min<std::uint64_t>(chunk_bytes, image.size() - begin), wanted.begin());
    if (copy != wanted) ++wrong_copies;
    copy.resize(std::min<std::uint64_t>(chunk_bytes, image.size() - begin));
    exceptions_[{e.chunk.value, epoch_.number.value}] = std::move(copy);
    unshared_.insert(e.chunk.value);
  }

  const client::read_watch no_reads{};
  fake_device &origin_, &store_;
  std::mutex mutex_;
  std::condition_variable idle_;
  epoch_id epoch_;
  bool frozen_ = false;
  int in_flight_ = 0;
  std::uint64_t next_place_ = 0;
  std::set<std::uint64_t> unshared_;
  std::map<std::uint64_t, std::vector<std::byte>> images_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::vector<std::byte>> exceptions_;
};

}  // namespace csnap::test
