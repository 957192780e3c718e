// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/core/pending_commits.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::core;

namespace {

const volume_id volume{1};
const boottime_ms now{0};

std::vector<wire::recall_entry> chunks(std::initializer_list<std::uint64_t> which) {
  std::vector<wire::recall_entry> out;
  for (const auto c : which) out.push_back({chunk_no{c}, snapshot_number{1}, store_chunk{c}});
  return out;
}

}  // namespace

TEST_CASE("pending: a batch is over only after every older batch with a chunk of it") {
  pending_commits pending;
  delegation_table delegations;
  delegations.add(session_id{1}, volume, chunk_no{0});
  const auto first = pending.add(volume, record_seq{1}, chunks({1, 2}));
  const auto recalls = pending.durable(first, delegations, now);
  REQUIRE(recalls.size() == 1);
  delegations.drop_all(session_id{1});
  const auto second = pending.add(volume, record_seq{2}, chunks({2, 3}));
  CHECK(pending.durable(second, delegations, now).empty());
  pending.hold({connection_id{1}, 7, {}}, {second});
  CHECK(pending.take_ready().empty());
  CHECK(pending.pending(volume, chunk_no{3}) == second);
  pending.recall_answered(session_id{1}, recalls[0].what.id);
  REQUIRE(pending.take_ready().size() == 1);
  CHECK(pending.size() == 0);
  CHECK_FALSE(pending.pending(volume, chunk_no{2}));
}

TEST_CASE("pending: chains of batches that share several older ones end once each") {
  pending_commits pending;
  delegation_table nobody, delegations;
  delegations.add(session_id{1}, volume, chunk_no{0});
  const auto b = pending.add(volume, record_seq{1}, chunks({1, 2}));
  const auto y = pending.add(volume, record_seq{2}, chunks({2, 3}));
  const auto n = pending.add(volume, record_seq{3}, chunks({1, 3}));
  pending.hold({connection_id{1}, 7, {}}, {b, y, n});
  const auto recalls = pending.durable(b, delegations, now);
  pending.durable(y, nobody, now);
  pending.durable(n, nobody, now);
  CHECK(pending.size() == 3);
  pending.recalls_over(session_id{1});
  CHECK(pending.size() == 0);
  CHECK(pending.take_ready().size() == 1);
}

TEST_CASE("pending: a recall is answered once, and only by its own session") {
  pending_commits pending;
  delegation_table delegations;
  delegations.add(session_id{1}, volume, chunk_no{0});
  delegations.add(session_id{2}, volume, chunk_no{0});
  const auto batch = pending.add(volume, record_seq{1}, chunks({1}));
  const auto recalls = pending.durable(batch, delegations, now);
  REQUIRE(recalls.size() == 2);
  pending.recall_answered(recalls[1].to, recalls[0].what.id);
  pending.recall_answered(recalls[0].to, recalls[0].what.id);
  pending.recall_answered(recalls[0].to, recalls[0].what.id);
  CHECK(pending.size() == 1);
  CHECK_FALSE(pending.oldest_recall(recalls[0].to));
  CHECK(pending.oldest_recall(recalls[1].to) == now);
  pending.recall_answered(recalls[1].to, recalls[1].what.id);
  CHECK(pending.size() == 0);
}
