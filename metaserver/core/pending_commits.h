// SPDX-License-Identifier: BSD-3-Clause
//
// Exceptions that nobody may rely on yet, because their record is not durable or a holder of a delegation
// was not told yet (rules 1, 2), and the answers that wait for them: the winner's, the losers', repetitions.
//
// The exceptions of one commit are one batch. A batch is over when its record is durable, each recall of it
// is answered (or its session's delegations are void), and every older batch with a chunk of it is over.
#pragma once

#include "metaserver/core/delegation_table.h"
#include "metaserver/core/server_core.h"

#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

namespace csnap::core {

class pending_commits {
 public:
  using batch_no = std::uint64_t;
  struct answer {
    connection_id to;
    std::uint64_t request{};
    wire::committed body;
  };
  struct recall_order {
    session_id to;
    wire::recall what;
  };

  batch_no add(volume_id volume, record_seq record, std::vector<wire::recall_entry> entries);
  // The batch's record is durable: the recalls to send now. Each is waited for, also where the session cannot
  // be reached: its lease ends, or it comes back.
  std::vector<recall_order> durable(batch_no batch, const delegation_table &delegations, boottime_ms now);
  void recall_answered(session_id session, std::uint64_t recall);
  // The session's delegations are void: that answers all its recalls.
  void recalls_over(session_id session);
  // When the oldest recall that the session has not answered was sent.
  std::optional<boottime_ms> oldest_recall(session_id session) const;

  // The newest batch that is not over and holds the chunk.
  std::optional<batch_no> pending(volume_id volume, chunk_no chunk) const;
  // The record of that batch while it is not durable.
  std::optional<record_seq> undurable(volume_id volume, chunk_no chunk) const;

  // Keeps the answer until all of `until` are over.
  void hold(answer what, const std::vector<batch_no> &until);
  std::vector<answer> take_ready() { return std::exchange(ready_, {}); }
  std::size_t size() const { return batches_.size(); }

 private:
  struct chunk_key {
    volume_id volume;
    chunk_no chunk;
    friend bool operator==(const chunk_key &, const chunk_key &) = default;
  };
  struct chunk_hash {
    std::size_t operator()(const chunk_key &k) const {
      return (k.chunk.value * 0x9e3779b97f4a7c15u) ^ k.volume.value;
    }
  };
  struct batch {
    volume_id volume;
    record_seq record;
    std::vector<wire::recall_entry> entries;
    bool is_durable{};
    std::size_t recalls{};               // not answered
    std::size_t older{};                 // batches that must be over before
    std::vector<batch_no> newer;         // that wait for this one
    std::vector<std::uint64_t> answers;  // that wait for this one
  };
  struct held_answer {
    answer what;
    std::size_t blocked{};
  };
  struct sent_recall {
    batch_no batch{};
    boottime_ms sent;
  };
  void finish_if_over(batch_no first);

  batch_no last_batch_ = 0;
  std::uint64_t last_recall_ = 0, last_answer_ = 0;
  std::unordered_map<batch_no, batch> batches_;
  std::unordered_map<chunk_key, batch_no, chunk_hash> newest_;
  std::map<session_id, std::map<std::uint64_t, sent_recall>> recalls_;
  std::unordered_map<std::uint64_t, held_answer> held_;
  std::vector<answer> ready_;
};

}  // namespace csnap::core
