// SPDX-License-Identifier: BSD-3-Clause
//
// The store engine by itself, on a file: how long a full log takes to replay, how many decisions are committed in
// a second, how fast the reaper is. Prints rows of Markdown. Usage: engine_bench DIRECTORY
#include "metaserver/base/check.h"
#include "metaserver/device/open_device.h"
#include "metaserver/store/engine.h"
#include "metaserver/store/offline.h"

#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>

using namespace csnap;
using namespace csnap::store;

namespace {

constexpr std::uint64_t store_bytes = std::uint64_t{16} << 30;  // sparse
constexpr std::uint64_t volume_chunks = std::uint64_t{1} << 22;
constexpr std::size_t chunks_per_commit = 64;  // what one client sends together
constexpr std::uint64_t exceptions_to_reap = 1000000;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Of this process; on a busy machine the time on the wall says little.
double cpu() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

template <class Result>
auto must(Result &&done) {
  if (!done) check_failed(std::source_location::current(), done.error().text.c_str());
  if constexpr (!std::is_same_v<std::remove_cvref_t<Result>, result<>>) return std::move(*done);
}

class bench {
 public:
  explicit bench(const std::string &directory) : path_(directory + "/engine_bench.store") {
    std::ofstream(path_).close();
    std::filesystem::resize_file(path_, store_bytes);
    device_ = must(open_device(path_));
    format_request request;
    request.store.bytes.fill(std::byte{1});
    request.chunk_bytes = 4096;
    request.origins = {{"vol", "/dev/vol", volume_chunks * 4096}};
    must(format_store(*device_, nullptr, request));
    e_ = must(engine::take_over(*device_, {}));
    session_info s;
    s.id = session_id{1};
    append(session_opened{s});
    create();
  }
  ~bench() { std::filesystem::remove(path_); }

  void run() {
    commits(1);
    commits(16);
    replay();
    reap();
  }

 private:
  void append(const record &r) {
    if (!e_->has_room()) checkpoint();
    must(e_->append(r));
  }
  void batch() {
    const auto jobs = e_->take_log_batch();
    if (!jobs) return;
    must(run_writes(*device_, jobs->writes, durability::durable));
    e_->log_batch_durable();
    ++batches_;
  }
  void checkpoint() {
    const auto pages = must(e_->take_checkpoint());
    must(run_writes(*device_, pages.writes, durability::cached));
    batch();
    must(device_->flush());
    must(run_writes(*device_, e_->take_root().writes, durability::durable));
    e_->checkpoint_done();
    ++checkpoints_;
  }
  void create() {
    const snapshot_number n{e_->last_snapshot_number().value + 1};
    append(snapshots_created{{}, n, n.value, 0, 0, {{volume_id{1}, "s" + std::to_string(n.value)}}});
    next_chunk_ = 0;
  }
  void commit() {
    if (next_chunk_ + chunks_per_commit > volume_chunks) create();
    if (left_ < chunks_per_commit) {
      const auto found = must(e_->find_free_chunks(reservation_chunks_max));
      reservation_ = reservation_id{e_->last_reservation_id().value + 1};
      append(chunks_reserved{reservation_, session_id{1}, found.first, found.second});
      place_ = found.first.value;
      left_ = found.second;
    }
    exceptions_added x{volume_id{1}, e_->last_snapshot_number(), session_id{1}, {}};
    for (std::size_t i = 0; i < chunks_per_commit; ++i, --left_)
      x.entries.push_back({chunk_no{scattered(next_chunk_++)}, reservation_, store_chunk{place_++}});
    append(x);
  }
  // Every chunk once, neighbours far apart, in runs of 8.
  static std::uint64_t scattered(std::uint64_t n) {
    return (n / 8 * 40503 % (volume_chunks / 8)) * 8 + n % 8;
  }

  void commits(unsigned together) {
    batches_ = checkpoints_ = 0;
    const double begin = now();
    std::uint64_t decisions = 0;
    while (now() - begin < 5) {
      for (unsigned i = 0; i < together; ++i) commit();
      decisions += together * chunks_per_commit;
      batch();
      if (e_->checkpoint_is_due()) checkpoint();
    }
    const double seconds = now() - begin;
    std::printf(
        "| %u commits of %zu chunks in a batch | %.0f batches/s | %.0f chunks decided/s | %llu checkpoints "
        "in %.1f s |\n",
        together, chunks_per_commit, static_cast<double>(batches_) / seconds,
        static_cast<double>(decisions) / seconds, static_cast<unsigned long long>(checkpoints_), seconds);
  }

  void replay() {
    checkpoint();
    const std::uint64_t before = e_->last_appended().value;
    while (e_->has_room()) {
      for (int i = 0; i < 4 && e_->has_room(); ++i) commit();
      batch();
    }
    const std::uint64_t records = e_->last_appended().value - before;
    e_.reset();
    double begin = now();
    const double cpu_begin = cpu();
    const auto read = must(engine::open_read_only(*device_, 64u << 20));
    const double only_read = now() - begin, cpu_read = cpu() - cpu_begin;
    begin = now();
    e_ = must(engine::take_over(*device_, {}));
    std::printf(
        "| replay of a full log (%llu MiB, %llu records) | %.3f s, of which CPU %.3f s | "
        "takeover with its checkpoint: %.3f s | |\n",
        static_cast<unsigned long long>((e_->shape().log_blocks * block_bytes) >> 20),
        static_cast<unsigned long long>(records), only_read, cpu_read, now() - begin);
  }

  void reap() {
    while (e_->usage().exceptions < exceptions_to_reap) {
      commit();
      batch();
    }
    const auto snapshots = e_->snapshots(volume_id{1});
    for (const auto &[number, s] : snapshots) {
      append(snapshot_deleted{{}, volume_id{1}, number});
      append(snapshot_died{volume_id{1}, number});
    }
    checkpoint();
    const std::uint64_t count = e_->usage().exceptions;
    checkpoints_ = 0;
    const double begin = now();
    for (bool done = false; !done;) {
      if (!e_->has_room() || e_->checkpoint_is_due()) checkpoint();
      const chunk_no cursor = e_->volumes().at(volume_id{1}).reap_cursor;
      const auto span = must(e_->plan_reap(volume_id{1}, cursor, 4096));
      append(reaped{volume_id{1}, cursor, span.end, span.end_of_volume});
      batch();
      done = span.end_of_volume;
    }
    const double seconds = now() - begin;
    std::printf(
        "| reaper, steps of 4096, each durable | %.0f exceptions/s | %llu in %.2f s | %llu checkpoints |\n",
        static_cast<double>(count) / seconds, static_cast<unsigned long long>(count), seconds,
        static_cast<unsigned long long>(checkpoints_));
    check(e_->usage().exceptions == 0, "the reaper left something");
  }

  std::string path_;
  std::unique_ptr<opened_device> device_;
  std::unique_ptr<engine> e_;
  std::uint64_t batches_ = 0, checkpoints_ = 0;
  std::uint64_t next_chunk_ = 0, place_ = 0, left_ = 0;
  reservation_id reservation_;
};

}  // namespace

int main(int argc, char **argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: engine_bench DIRECTORY\n");
    return 2;
  }
  bench(argv[1]).run();
  return 0;
}
