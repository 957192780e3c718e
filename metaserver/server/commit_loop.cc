// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/commit_loop.h"

#include "metaserver/base/check.h"
#include "metaserver/server/log.h"

#include <boost/asio/post.hpp>

#include <utility>

namespace csnap::server {

namespace asio = boost::asio;

commit_loop::commit_loop(asio::io_context &io, store::engine &engine, block_device &metadata,
                         events what_happens)
    : io_(io), engine_(engine), metadata_(metadata), events_(std::move(what_happens)) {}

commit_loop::~commit_loop() {
  log_thread_.join();
  checkpoint_thread_.join();
}

void commit_loop::kick() {
  start_batch();
  if (stage_ == checkpoint_stage::none && (engine_.checkpoint_is_due() || !engine_.has_room()))
    start_checkpoint();
  if (finished_) go_on_finishing();
}

void commit_loop::start_batch() {
  auto batch = engine_.take_log_batch();
  if (!batch) return;
  asio::post(log_thread_, [this, batch = std::move(*batch)] {
    if (const auto written = store::run_writes(metadata_, batch.writes, durability::durable); !written)
      stop_at_once("writing the log failed", written.error());
    asio::post(io_, [this, last = batch.last] { batch_written(last); });
  });
}

// Proof of mastership (rule 9) has its place here, before anybody hears that the batch is durable: an
// election that can split must first read the term from the store again. `file`, the one that is offered,
// cannot.
void commit_loop::batch_written(record_seq last) {
  engine_.log_batch_durable();
  write_root_when_covered();
  events_.durable(last);
  kick();
}

void commit_loop::start_checkpoint() {
  auto pages = engine_.take_checkpoint();
  if (!pages) stop_at_once("preparing a checkpoint failed", pages.error());
  stage_ = checkpoint_stage::writing_pages;
  covers_ = pages->covers;
  asio::post(checkpoint_thread_, [this, pages = std::move(*pages)] {
    if (const auto written = store::run_writes(metadata_, pages.writes, durability::cached); !written)
      stop_at_once("writing index pages failed", written.error());
    if (const auto flushed = metadata_.flush(); !flushed)
      stop_at_once("flushing index pages failed", flushed.error());
    asio::post(io_, [this] { pages_written(); });
  });
}

void commit_loop::pages_written() {
  stage_ = checkpoint_stage::waiting_for_log;
  write_root_when_covered();
}

// A root may not cover records that a crash could still take back.
void commit_loop::write_root_when_covered() {
  if (stage_ != checkpoint_stage::waiting_for_log || engine_.last_durable() < covers_) return;
  stage_ = checkpoint_stage::writing_root;
  asio::post(checkpoint_thread_, [this, root = engine_.take_root()] {
    if (const auto written = store::run_writes(metadata_, root.writes, durability::durable); !written)
      stop_at_once("writing the root failed", written.error());
    asio::post(io_, [this] { root_written(); });
  });
}

void commit_loop::root_written() {
  engine_.checkpoint_done();
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
