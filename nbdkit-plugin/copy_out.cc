// SPDX-License-Identifier: BSD-3-Clause
#include "nbdkit-plugin/copy_out.h"

#include "nbdkit-plugin/batch_store.h"

#include <chrono>
#include <cstring>

namespace csnap::plugin {

namespace {

bool is_all_zero(std::span<const std::byte> bytes) {
  return bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

}  // namespace

copy_out::copy_out(volume_id volume, std::uint64_t size_bytes, block_device &origin, chunk_store &store,
                   volume_client &client, planted_mistakes planted)
    : size_bytes_(size_bytes),
      chunk_bytes_(store.chunk_bytes()),
      origin_(origin),
      store_(store),
      client_(client),
      volume_(volume),
      planted_(planted),
      worker_([this] { work(); }) {}

copy_out::~copy_out() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    worker_wakes_.notify_one();
  }
  worker_.join();
}

result<> copy_out::run(std::span<const chunk_no> chunks, epoch_id epoch) {
  std::vector<share> shares;
  std::unique_lock lock(mutex_);
  while (!chunks.empty()) {
    if (const auto known = under_way_.find(chunks.front()); known != under_way_.end()) {
      shares.push_back(known->second);
      chunks = chunks.subspan(1);
      continue;
    }
    if (!has_room(epoch)) {
      if (auto r = wait(lock, [&] { return batches_ < batches_max; }); !r) return r;
      continue;  // meanwhile another writer may have begun this chunk
    }
    const batch_ptr batch = gathering_;
    const std::size_t slot = batch->slots.size();
    const std::size_t count = join(chunks, shares);
    read_joined(lock, batch, slot, count);
    chunks = chunks.subspan(count);
  }
  for (const share &s : shares) {
    if (auto r = wait(lock, [&] { return s.batch->is_done; }); !r) return r;
    const copy_slot &slot = s.batch->slots[s.slot];
    if (slot.failure) return *slot.failure;
  }
  return {};
}

template <class Done>
result<> copy_out::wait(std::unique_lock<std::mutex> &lock, Done done) {
  while (!finished_.wait_for(lock, std::chrono::milliseconds(100), done)) {
    lock.unlock();
    const bool stop = client_.interrupted();
    lock.lock();
    if (stop) return fail(errc::shutting_down, "interrupted while waiting for a copy-out");
  }
  return {};
}

// Makes sure that gathering_ takes another chunk of this epoch; false: too many batches, wait.
bool copy_out::has_room(epoch_id epoch) {
  if (gathering_ &&
      (gathering_->epoch != epoch || gathering_->slots.size() == copy_batch::capacity(chunk_bytes_))) {
    sealed_.push_back(std::move(gathering_));
    gathering_ = nullptr;
    worker_wakes_.notify_one();
  }
  if (gathering_) return true;
  if (batches_ >= batches_max) return false;
  auto batch = std::make_shared<copy_batch>();
  batch->epoch = epoch;
  if (buffers_.empty()) {
    batch->buffer = std::make_unique<copy_buffer>(copy_batch::capacity(chunk_bytes_) * chunk_bytes_);
  } else {
    batch->buffer = std::move(buffers_.back());
    buffers_.pop_back();
  }
  gathering_ = std::move(batch);
  ++batches_;
  return true;
}

// Takes slots for consecutive chunks, which become one read; returns how many.
std::size_t copy_out::join(std::span<const chunk_no> chunks, std::vector<share> &shares) {
  std::size_t count = 0;
  while (count < chunks.size() && gathering_->slots.size() < copy_batch::capacity(chunk_bytes_) &&
         chunks[count].value == chunks[0].value + count && !under_way_.contains(chunks[count])) {
    const share mine{gathering_, gathering_->slots.size()};
    copy_slot slot;
    slot.chunk = chunks[count];
    gathering_->slots.push_back(slot);
    under_way_.emplace(chunks[count], mine);
    shares.push_back(mine);
    ++count;
  }
  check(count > 0, "joined a batch with nothing");
  return count;
}

void copy_out::read_joined(std::unique_lock<std::mutex> &lock, const batch_ptr &batch, std::size_t slot,
                           std::size_t count) {
  ++batch->reads_pending;
  const std::uint64_t offset = batch->slots[slot].chunk.value * chunk_bytes_;
  lock.unlock();
  const auto bytes = batch->bytes_of(slot, count, chunk_bytes_);
  // The device may end within its last chunk; the rest of the copy is zero.
  const std::size_t length =
      offset < size_bytes_ ? std::min<std::uint64_t>(bytes.size(), size_bytes_ - offset) : 0;
  result<> outcome = origin_.read(offset, bytes.first(length));
  std::memset(bytes.data() + length, 0, bytes.size() - length);
  if (planted_.ignore_copy_error) outcome = {};
  std::vector<bool> zero(count);
  for (std::size_t i = 0; outcome && i < count; ++i)
    zero[i] = is_all_zero(bytes.subspan(i * chunk_bytes_, chunk_bytes_));
  lock.lock();
  for (std::size_t i = 0; i < count; ++i) {
    copy_slot &s = batch->slots[slot + i];
    s.what = !outcome ? copy_slot::state::failed : zero[i] ? copy_slot::state::zero : copy_slot::state::data;
    if (!outcome) s.failure = outcome.error();
  }
  if (--batch->reads_pending == 0) worker_wakes_.notify_one();
}

copy_out::batch_ptr copy_out::next_batch(std::unique_lock<std::mutex> &lock) {
  for (;;) {
    if (!sealed_.empty() && sealed_.front()->reads_pending == 0) {
      const batch_ptr batch = std::move(sealed_.front());
      sealed_.pop_front();
      return batch;
    }
    if (sealed_.empty() && gathering_ && gathering_->reads_pending == 0)
      return std::exchange(gathering_, nullptr);
    if (stopping_) return nullptr;
    worker_wakes_.wait(lock);
  }
}

void copy_out::work() {
  std::unique_lock lock(mutex_);
  while (const batch_ptr batch = next_batch(lock)) {
    lock.unlock();
    // No reader is left in it and it takes no more: it is the worker's alone.
    batch_store(volume_, store_, client_, planted_).run(*batch);
    lock.lock();
    finish(batch);
  }
}

void copy_out::finish(const batch_ptr &batch) {
  for (const copy_slot &slot : batch->slots) under_way_.erase(slot.chunk);
  buffers_.push_back(std::move(batch->buffer));
  batch->is_done = true;
  --batches_;
  finished_.notify_all();
}

}  // namespace csnap::plugin
