// SPDX-License-Identifier: BSD-3-Clause
//
// The server's state for people: what there is, and what needs attention and what to do about it.
#include "metaserver/core/server_impl.h"

#include <algorithm>

namespace csnap::core {

namespace {

std::string percent(std::uint64_t part, std::uint64_t whole) {
  return std::to_string(whole ? part * 100 / whole : 0) + " %";
}

}  // namespace

session_status server_core::impl::describe(const session &s) const {
  const auto &info = engine_.sessions().at(s.id);
  session_status out;
  out.id = s.id;
  out.node = info.node;
  out.pid = info.pid;
  out.connected = s.connection.value != 0;
  out.expired = s.expired;
  out.lease_left_ms = s.expired ? 0 : std::max<std::int64_t>(0, s.lease_end.value - now_.value);
  for (const volume_id v : s.writing) out.volumes.push_back(engine_.volumes().at(v).name);
  out.snapshots_open = s.snapshots.size();
  out.delegations = delegations_.count(s.id);
  out.chunks_reserved = s.chunks_reserved;
  return out;
}

std::vector<std::string> server_core::impl::conditions() const {
  std::vector<std::string> out;
  if (in_grace_)
    out.push_back("waiting for the clients of the previous server: copy-outs and creates go on afterwards");
  for (const auto &[id, s] : sessions_.all()) {
    if (!s.expired) continue;
    const auto &info = engine_.sessions().at(id);
    out.push_back("session " + std::to_string(id.value) + " of " + info.node + " (pid " +
                  std::to_string(info.pid) + ") has expired and holds " + std::to_string(s.chunks_reserved) +
                  " chunks; creates of its volumes fail until it comes back or its end is proven");
  }
  for (const auto &[id, b] : barriers_.all())
    if (b.now == barrier::phase::waiting) out.push_back("a create waits for a client that cannot be reached");
    else if (b.now == barrier::phase::freezing) out.push_back("writers are stopped for a create");
  for (const auto &[id, volume] : engine_.volumes()) {
    const auto &all = engine_.snapshots(id);
    const auto given_up =
        std::count_if(all.begin(), all.end(), [](const auto &s) { return s.second.sacrificed; });
    if (given_up > 0)
      out.push_back(std::to_string(given_up) + " snapshots of volume " + volume.name +
                    " are being given up, for the store is full");
  }
  if (!room_.is_empty()) out.push_back("writes wait for room in the store: delete snapshots or enlarge it");
  const bool can_flush = std::any_of(sessions_.all().begin(), sessions_.all().end(),
                                     [](const auto &s) { return s.second.reachable(); });
  if (!unflushed_.empty() && !can_flush)
    out.push_back("a writer was killed, and nobody has flushed what it wrote: a create needs an nbdkit");
  const auto usage = engine_.usage();
  if (usage.chunks_free < usage.chunks_total / 10)
    out.push_back("only " + percent(usage.chunks_free, usage.chunks_total) +
                  " of the chunks are free: delete snapshots or enlarge the store");
  if (engine_.metadata_is_full())
    out.push_back("the metadata area is full: only deleting still works; delete snapshots");
  else if (usage.pages_free < usage.pages_total / 10)
    out.push_back("only " + percent(usage.pages_free, usage.pages_total) +
                  " of the metadata area is free: delete snapshots");
  return out;
}

core_status server_core::impl::status() const {
  core_status out;
  out.term = engine_.term();
  out.in_grace = in_grace_;
  for (const auto &[id, s] : sessions_.all()) out.sessions.push_back(describe(s));
  out.reaper = reaper_.status();
  out.commits = commits_;
  out.chunks_copied = chunks_copied_;
  out.recalls_sent = recalls_sent_;
  out.snapshots_created = snapshots_created_;
  out.barriers_failed = barriers_failed_;
  out.commit_chunks = commit_chunks_;
  out.create_pause_seconds = create_pause_seconds_;
  out.store_condition = to_text(room_.level);
  out.requests_waiting = room_.size();
  out.conditions = conditions();
  return out;
}

}  // namespace csnap::core
