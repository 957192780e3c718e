// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/disk.h"

#include "metaserver/base/check.h"
#include "tests/simulation/probes.h"

#include <algorithm>
#include <utility>

namespace csnap::simulation {

disk::disk(world &w, std::string name, disk_image content, disk_habits how)
    : image(std::move(content)), habits(how), world_(w), name_(std::move(name)), chance_(w.stream(name_)) {}

nanoseconds disk::some_latency() {
  if (habits.slow_per_mille > 0 && chance_.per_mille(habits.slow_per_mille)) {
    sometimes(probe::disk_slow_operation);
    return chance_.between(habits.latency_max, habits.slow_max);
  }
  return chance_.between(habits.latency_min, habits.latency_max);
}

// The calling fiber waits until the operation is done. `lands` is called when it takes effect.
void disk::begin(const operation_ptr &op, std::function<void()> lands) {
  ++op->sender->io_in_flight;
  op->waiter = fiber::current();
  in_flight_.push_back(op);
  const nanoseconds until_landing = some_latency();
  world_.after(until_landing, nullptr, [this, op, lands = std::move(lands), cuts = power_cuts_] {
    if (cuts != power_cuts_ || op->is_settled) return;
    if (!op->sender->alive()) {
      // What is sent to another machine may sit in its queues for long.
      if (habits.outlives_process && chance_.one_in(2)) {
        op->done = true;
        settle(op);
        if (op->is_write) {
          world_.after(chance_.between(0, 3 * second), nullptr, [this, op, lands, cuts] {
            if (cuts != power_cuts_) return;
            ++count.late_landings;
            sometimes(probe::write_landed_after_sender_gone);
            lands();
          });
        }
        return;
      }
      if (chance_.one_in(2)) return settle(op);
      sometimes(probe::write_landed_after_sender_died, op->is_write);
    }
    lands();
    const nanoseconds until_done = chance_.between(1, 30) * microsecond;
    world_.after(until_done, nullptr, [this, op, cuts] {
      if (cuts == power_cuts_) settle(op);
    });
  });
  while (!op->done) world_.wait();
}

void disk::settle(const operation_ptr &op) {
  if (op->is_settled) return;
  op->is_settled = op->done = true;
  std::erase(in_flight_, op);
  process &sender = *op->sender;
  --sender.io_in_flight;
  if (sender.alive()) world_.wake(*op->waiter);
  else sender.io_ended();
}

void disk::land_write(const operation_ptr &op, std::size_t from, std::size_t to) {
  if (writes_until_ > 0 && --writes_until_ == 0) world_.after(0, nullptr, std::exchange(then_, nullptr));
  std::uint64_t at = op->offset + from;
  if (lies.drops_writes && chance_.one_in(40)) return;
  if (lies.misdirects && chance_.one_in(40)) {
    const std::uint64_t wrong = at + image_block_bytes * static_cast<std::uint64_t>(chance_.between(1, 5));
    if (wrong + (to - from) <= image.size_bytes()) at = wrong;
  }
  if (faults.stray_writes > 0 && goes_astray(op, from, to)) return;
  image.write(at, std::span(op->bytes).subspan(from, to - from), op->durable && !lies.fua_ignored);
  world_.note(at * 0x9e3779b97f4a7c15u + std::to_integer<unsigned>(op->bytes[from]));
}

// One of its blocks is lost, or lands where another one is; the rest is written as it should be.
bool disk::goes_astray(const operation_ptr &op, std::size_t from, std::size_t to) {
  const std::uint64_t at = op->offset + from, blocks = (to - from) / image_block_bytes;
  if (at < faults.stray_from || at % image_block_bytes != 0 || blocks == 0 || !happens(faults.stray_writes))
    return false;
  const std::uint64_t first = at / image_block_bytes, which = first + chance_.below(blocks);
  std::vector<std::byte> before(image_block_bytes), other(image_block_bytes);
  const auto bytes =
      std::span(op->bytes).subspan(from + (which - first) * image_block_bytes, image_block_bytes);
  image.read(which * image_block_bytes, before);
  image.write(at, std::span(op->bytes).subspan(from, to - from), op->durable);
  image.write(which * image_block_bytes, before, op->durable);
  on_stray(which, {bytes.begin(), bytes.end()});
  const std::uint64_t away = first + blocks + chance_.below(8);
  const bool is_lost = chance_.one_in(2) || (away + 1) * image_block_bytes > image.size_bytes();
  sometimes(is_lost ? probe::write_lost : probe::write_misdirected);
  if (is_lost) return true;
  image.read(away * image_block_bytes, other);
  image.write(away * image_block_bytes, bytes, op->durable);
  on_stray(away, std::move(other));
  return true;
}

void disk::take_read(const operation_ptr &op) {
  if (!op->sender->alive()) return;  // the buffer is on a stack that may be another fiber's by now
  image.read(op->offset, op->into);
  const bool whole = op->into.size() == image_block_bytes && op->offset % image_block_bytes == 0;
  const bool may_lie = op->offset >= faults.wrong_from && op->offset < faults.wrong_until;
  const bool stale = (lies.stale_reads && chance_.one_in(20)) || (may_lie && happens(faults.stale_reads));
  if (whole && may_lie && happens(faults.misdirected_reads)) {
    sometimes(probe::read_misdirected);
    const std::uint64_t away = image_block_bytes * static_cast<std::uint64_t>(chance_.between(1, 8));
    if (op->offset + away + image_block_bytes <= image.size_bytes()) image.read(op->offset + away, op->into);
    return;
  }
  if (!whole || !stale) return;
  if (const std::byte *older = image.older_version(op->offset / image_block_bytes))
    std::copy_n(older, image_block_bytes, op->into.begin());
}

disk_image::cut_result disk::power_cut() {
  ++power_cuts_;
  has_lost_writes_ = false;
  for (const operation_ptr &op : std::exchange(in_flight_, {})) {
    if (op->is_write && !op->fails && chance_.one_in(2)) {
      sometimes(probe::power_cut_in_a_write);
      image.write(op->offset, op->bytes, false);
    }
    if (!op->is_settled) --op->sender->io_in_flight;
    op->is_settled = true;
    op->sender->io_ended();
  }
  return image.power_cut(chance_, true);
}

// ---- a process's way to it ----

result<> device::bounds(std::uint64_t offset, std::uint64_t length) const {
  if (offset <= size_bytes() && length <= size_bytes() - offset) return {};
  return fail(errc::invalid, disk_.name_ + ": out of bounds");
}

result<> device::failed(const char *what) {
  ++disk_.count.errors;
  return fail(errc::io, disk_.name_ + ": " + what);
}

result<> device::read(std::uint64_t offset, std::span<std::byte> into) {
  if (auto ok = bounds(offset, into.size()); !ok || into.empty()) return ok;
  ++disk_.count.reads;
  const auto op = std::make_shared<disk::operation>();
  op->sender = &owner_;
  op->offset = offset;
  op->into = into;
  op->fails = disk_.happens(disk_.faults.read_errors);
  const bool is_early = disk_.habits.early_reads && disk_.chance_.one_in(2);
  if (is_early) disk_.take_read(op);
  disk_.begin(op, [this_disk = &disk_, op, is_early] {
    if (!op->fails && !is_early) this_disk->take_read(op);
  });
  if (!op->fails) return {};
  sometimes(probe::read_failed);
  return failed("read failed");
}

result<> device::write(std::uint64_t offset, std::span<const std::byte> from, durability how) {
  if (auto ok = bounds(offset, from.size()); !ok || from.empty()) return ok;
  ++disk_.count.writes;
  const auto op = std::make_shared<disk::operation>();
  op->sender = &owner_;
  op->offset = offset;
  op->bytes.assign(from.begin(), from.end());
  op->is_write = true;
  op->durable = how == durability::durable;
  op->fails = disk_.happens(disk_.faults.write_errors);
  if (disk_.faults.no_new_blocks && !disk_.image.was_written(offset / image_block_bytes)) {
    sometimes(probe::device_full);
    op->fails = true;
  }
  // A failed write leaves old, new or both.
  const std::size_t end =
      op->fails ? disk_.chance_.below(from.size() / sector_bytes + 1) * sector_bytes : from.size();
  disk &where = disk_;
  const auto land = [&where, op, end] {
    if (end == 0) return;
    const bool in_pieces = end > image_block_bytes && where.chance_.one_in(2);
    if (!in_pieces) return where.land_write(op, 0, end);
    sometimes(probe::write_landed_in_pieces);
    const std::size_t half = end / 2 / sector_bytes * sector_bytes;
    where.land_write(op, half, end);
    where.land_write(op, 0, half);
  };
  if (disk_.lies.acknowledges_early) {
    disk_.world_.after(disk_.some_latency() * 4, nullptr, land);
    return {};
  }
  disk_.begin(op, land);
  if (!op->fails) return {};
  sometimes(probe::write_failed);
  if (first_write_failure < 0) first_write_failure = disk_.world_.now();
  return failed("write failed");
}

result<> device::zero(std::uint64_t offset, std::uint64_t length, bool, durability how) {
  return write(offset, std::vector<std::byte>(length), how);
}

result<> device::trim(std::uint64_t offset, std::uint64_t length) {
  if (disk_.habits.trim_zeroes) return zero(offset, length, true, durability::cached);
  return bounds(offset, length);
}

result<> device::flush() {
  if (disk_.lies.flush_failures_forgotten) return flush_once();
  return flushes_.flush([this] { return flush_once(); });
}

result<> device::flush_once() {
  ++disk_.count.flushes;
  const auto op = std::make_shared<disk::operation>();
  op->sender = &owner_;
  op->mark = disk_.image.mark();
  op->fails = disk_.happens(disk_.faults.flush_errors);
  disk &where = disk_;
  disk_.begin(op, [&where, op] {
    if (where.lies.flush_does_nothing) return;
    if (!op->fails) return where.image.flush(op->mark);
    // The kernel marks as clean what it could not write, and tells each open file once.
    where.has_lost_writes_ = where.has_lost_writes_ || where.image.has_unflushed();
    where.image.forget_unflushed();
    ++where.flush_failures_;
  });
  const bool others_failed = std::exchange(seen_failures_, disk_.flush_failures_) != disk_.flush_failures_;
  if ((!op->fails && !others_failed) || disk_.lies.flush_errors_hidden) return {};
  sometimes(probe::flush_failed);
  sometimes(probe::flush_failure_of_another, !op->fails);
  if (first_flush_failure < 0) first_flush_failure = disk_.world_.now();
  return failed("flush failed");
}

}  // namespace csnap::simulation
