// SPDX-License-Identifier: BSD-3-Clause
#include "nbdkit-plugin/batch_store.h"

#include <algorithm>
#include <cstring>

namespace csnap::plugin {

namespace {

void fail_slot(copy_slot &slot, const error &why) {
  slot.what = copy_slot::state::failed;
  slot.failure = why;
}

void fail_rest(copy_batch &batch, const error &why) {
  for (copy_slot &slot : batch.slots)
    if (!slot.failure) fail_slot(slot, why);
}

// The session or the epoch is over, not the device: the writers ask begin_write() again and start anew.
bool is_to_begin_anew(const error &e) { return e.code == errc::gone || e.code == errc::stale; }

}  // namespace

void batch_store::run(copy_batch &batch) {
  reserve(batch);
  if (!copies_.empty()) {
    pack(batch);
    write(batch);
    const result<> flushed = copies_.empty() || planted_.no_flush_before_commit ? result<>() : store_.flush();
    if (!flushed) {
      give_back_all();
      fail_rest(batch, flushed.error());
    }
  }
  commit(batch);
}

void batch_store::reserve(copy_batch &batch) {
  std::vector<std::size_t> slots;
  for (std::size_t i = 0; i < batch.slots.size(); ++i)
    if (batch.slots[i].what == copy_slot::state::data) slots.push_back(i);
  while (copies_.size() < slots.size()) {
    // In a full store others may wait for what this batch holds: it goes on with that, and the writers of the
    // other chunks begin anew.
    const bool has_some = !copies_.empty();
    const auto taken =
        client_.take_reserved(volume_, static_cast<std::uint32_t>(slots.size() - copies_.size()), has_some);
    if (taken && taken->empty()) return;
    if (!taken) {
      // Those that got a place go on; a store with room for some copies is not full for them.
      for (std::size_t i = copies_.size(); i < slots.size(); ++i)
        fail_slot(batch.slots[slots[i]], taken.error());
      return;
    }
    for (const client::reserved_chunk &target : *taken) copies_.push_back({slots[copies_.size()], target});
  }
}

// Zero chunks are not stored: close the gaps that they leave, so that one write takes the others.
void batch_store::pack(copy_batch &batch) {
  const std::uint32_t chunk_bytes = store_.chunk_bytes();
  for (std::size_t i = 0; i < copies_.size(); ++i)
    if (copies_[i].slot != i)
      std::memcpy(batch.bytes_of(i, 1, chunk_bytes).data(),
                  batch.bytes_of(copies_[i].slot, 1, chunk_bytes).data(), chunk_bytes);
}

void batch_store::write(copy_batch &batch) {
  std::vector<copy> written;
  for (std::size_t i = 0, count; i < copies_.size(); i += count) {
    count = 1;
    while (i + count < copies_.size() &&
           copies_[i + count].target.place.value == copies_[i].target.place.value + count)
      ++count;
    const auto run = std::span(copies_).subspan(i, count);
    if (planted_.return_with_io)
      for (const copy &c : run) client_.return_unused(std::span(&c.target, 1));
    const auto outcome = store_.write(run[0].target.place, batch.bytes_of(i, count, store_.chunk_bytes()));
    if (outcome || planted_.ignore_copy_error) {
      written.insert(written.end(), run.begin(), run.end());
      continue;
    }
    for (const copy &c : run) {
      fail_slot(batch.slots[c.slot], outcome.error());
      client_.return_unused(std::span(&c.target, 1));
    }
  }
  copies_ = std::move(written);
}

void batch_store::give_back_all() {
  for (const copy &c : copies_) client_.return_unused(std::span(&c.target, 1));
  copies_.clear();
}

void batch_store::commit(copy_batch &batch) {
  wire::commit what;
  what.volume = volume_;
  what.epoch = batch.epoch;
  for (const copy &c : copies_)
    what.entries.push_back({batch.slots[c.slot].chunk, c.target.reservation, c.target.place});
  for (const copy_slot &slot : batch.slots)
    if (slot.what == copy_slot::state::zero) what.entries.push_back({slot.chunk, {}, store_chunk::zero()});
  if (what.entries.empty()) return;
  std::sort(what.entries.begin(), what.entries.end(),
            [](const auto &a, const auto &b) { return a.chunk < b.chunk; });
  // From here on the store chunks are the server's, whatever the answer (rule 12); the machine takes back
  // those that it hands back.
  const auto answer = client_.commit(std::move(what));
  if (!answer && !is_to_begin_anew(answer.error())) fail_rest(batch, answer.error());
}

}  // namespace csnap::plugin
