// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/commit_loop.h"

#include "metaserver/base/check.h"
#include "metaserver/store/newest_term.h"

#include <memory>
#include <utility>

namespace csnap::server {

namespace {
double seconds_since(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}
}  // namespace

commit_loop::commit_loop(server_environment &around, store::engine &engine, block_device &metadata,
                         events what_happens, planted_mistakes planted, bool others_may_be_elected)
    : around_(around),
      engine_(engine),
      metadata_(metadata),
      events_(std::move(what_happens)),
      planted_(planted),
      others_may_be_elected_(others_may_be_elected) {}

commit_loop::~commit_loop() { around_.end_jobs(); }

void commit_loop::kick() {
  start_batch();
  if (stage_ == checkpoint_stage::none && (engine_.checkpoint_is_due() || !engine_.has_room()))
    start_checkpoint();
  if (finished_) go_on_finishing();
}

void commit_loop::start_batch() {
  auto taken = engine_.take_log_batch();
  if (!taken) return;
  const auto batch = std::make_shared<const store::log_batch>(std::move(*taken));
  if (planted_.heard_before_durable) around_.post([this, batch] { batch_written(batch->last); });
  const auto began = std::chrono::steady_clock::now();
  around_.run(
      worker::log, [this, batch] { write_batch(*batch); },
      [this, batch, began] {
        figures_.log_batch_seconds.observe(seconds_since(began));
        if (!planted_.heard_before_durable) batch_written(batch->last);
      });
}

void commit_loop::write_batch(const store::log_batch &batch) {
  const auto how = planted_.log_only_cached ? durability::cached : durability::durable;
  const auto written = store::run_writes(metadata_, batch.writes, how);
  if (!written && !planted_.failed_log_ignored)
    around_.stop_at_once("writing the log failed", written.error());
}

// Who may hear of it is the master's business (proof of mastership).
void commit_loop::batch_written(record_seq last) {
  engine_.log_batch_durable();
  write_root_when_covered();
  events_.durable(last);
  kick();
}

void commit_loop::start_checkpoint() {
  auto taken = engine_.take_checkpoint();
  if (!taken) around_.stop_at_once("preparing a checkpoint failed", taken.error());
  stage_ = checkpoint_stage::writing_pages;
  checkpoint_began_ = std::chrono::steady_clock::now();
  covers_ = taken->covers;
  const auto pages = std::make_shared<const store::checkpoint_pages>(std::move(*taken));
  around_.run(
      worker::checkpoint, [this, pages] { write_pages(*pages); }, [this] { pages_written(); });
}

void commit_loop::write_pages(const store::checkpoint_pages &pages) {
  const auto written = store::run_writes(metadata_, pages.writes, durability::cached);
  if (!written && !planted_.failed_pages_ignored)
    around_.stop_at_once("writing index pages failed", written.error());
  if (planted_.pages_unflushed) return;
  const auto flushed = metadata_.flush();
  if (!flushed && !planted_.failed_pages_ignored)
    around_.stop_at_once("flushing index pages failed", flushed.error());
}

void commit_loop::pages_written() {
  stage_ = checkpoint_stage::waiting_for_log;
  write_root_when_covered();
}

// A root may not cover records that a crash could still take back.
void commit_loop::write_root_when_covered() {
  if (stage_ != checkpoint_stage::waiting_for_log || engine_.last_durable() < covers_) return;
  stage_ = checkpoint_stage::writing_root;
  const auto root = std::make_shared<const store::root_write>(engine_.take_root());
  around_.run(
      worker::checkpoint, [this, root] { write_root(*root); }, [this] { root_written(); });
}

void commit_loop::write_root(const store::root_write &root) {
  const auto how = planted_.root_only_cached ? durability::cached : durability::durable;
  const std::size_t copies = planted_.root_without_mirror ? 1 : root.writes.size();
  const auto written = store::run_writes(metadata_, std::span(root.writes).first(copies), how);
  if (!written) around_.stop_at_once("writing the root failed", written.error());
  if (others_may_be_elected_ && !planted_.reuse_unproved) look_for_successor();
}

void commit_loop::look_for_successor() {
  const auto newest = store::newest_term(metadata_, engine_.shape());
  if (!newest) around_.stop_at_once("the term in the store cannot be read", newest.error());
  if (*newest != engine_.term())
    around_.stop_at_once("this server is not the master any more",
                         fail(errc::stale, "the store is in term " + to_text(*newest)));
}

void commit_loop::root_written() {
  engine_.checkpoint_done();
  figures_.checkpoint_seconds.observe(seconds_since(checkpoint_began_));
  stage_ = checkpoint_stage::none;
  // Nothing can be appended without room, so a checkpoint of everything that gives none would be made for
  // ever.
  check(engine_.has_room() || engine_.last_appended() > covers_, "a checkpoint of everything made no room");
  if (finished_) last_checkpoint_made_ = engine_.last_appended() == covers_;
  events_.checkpoint_done();
  kick();
}

void commit_loop::finish(std::function<void()> finished) {
  finished_ = std::move(finished);
  kick();
}

void commit_loop::go_on_finishing() {
  if (engine_.last_durable() < engine_.last_appended() || stage_ != checkpoint_stage::none) return;
  if (last_checkpoint_made_) std::exchange(finished_, nullptr)();
  else start_checkpoint();
}

}  // namespace csnap::server
