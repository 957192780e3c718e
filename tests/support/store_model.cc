// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/store_model.h"

#include "metaserver/base/check.h"

#include <algorithm>

namespace csnap::test {

using namespace store;

namespace {

template <class... Ts>
struct overloaded : Ts... {
  using Ts::operator()...;
};

}  // namespace

void store_model::apply(const record &r) {
  const auto done = [&](const unique_id &id) { requests.insert(id); };
  std::visit(
      overloaded{
          [&](const volume_added &v) { volumes[v.volume.id] = v.volume; },
          [&](const settings_changed &s) { values = s.values; },
          [&](const snapshots_created &c) {
            done(c.request);
            for (const auto &m : c.members) {
              volumes[m.volume].epoch = {c.number, c.epoch_nonce};
              snapshots[{m.volume, c.number}] = {m.volume,
                                                 c.number,
                                                 m.name,
                                                 snapshot_state::live,
                                                 c.created_unix_ms,
                                                 c.priority,
                                                 volumes[m.volume].size_bytes,
                                                 0,
                                                 false,
                                                 {}};
              volumes[m.volume].unflushed = false;
            }
          },
          [&](const snapshot_renamed &c) {
            done(c.request), snapshots.at({c.volume, c.number}).name = c.name;
          },
          [&](const snapshot_deleted &c) {
            done(c.request);
            auto &s = snapshots.at({c.volume, c.number});
            s.state = snapshot_state::dying;
            s.sacrificed = c.sacrificed;
            volumes.at(c.volume).sacrificed += c.sacrificed;
          },
          [&](const snapshot_died &c) {
            auto &s = snapshots.at({c.volume, c.number});
            s.state = snapshot_state::dead;
            const auto &v = volumes.at(c.volume);
            s.reap_pass = v.reap_pass + (v.reap_cursor.value > 0 ? 1 : 0);
          },
          [&](const exceptions_added &x) {
            for (const auto &e : x.entries) {
              exceptions[{x.volume, e.chunk, x.number}] = e.place;
              if (e.place.is_zero()) continue;
              reserved[e.reservation].erase(e.place.value);
              if (reserved[e.reservation].empty()) reserved.erase(e.reservation);
            }
          },
          [&](const session_opened &s) { sessions[s.session.id] = s.session; },
          [&](const session_closed &s) {
            sessions.erase(s.session);
            for (const volume_id v : s.unflushed) volumes.at(v).unflushed = true;
            for (const auto &[id, owner] : reserved_for) {
              if (owner != s.session || !reserved.contains(id)) continue;
              for (const std::uint64_t chunk : reserved[id]) used.erase(chunk);
              reserved.erase(id);
            }
          },
          [&](const chunks_reserved &c) {
            reserved_for[c.id] = c.session;
            for (std::uint64_t i = 0; i < c.count; ++i) {
              reserved[c.id].insert(c.first.value + i);
              check(used.insert(c.first.value + i).second, "model: chunk reserved while in use");
            }
          },
          [&](const reaped &x) { reap(x); },
          [&](const volume_changed &c) { done(c.request), volumes.at(c.volume).when_full = c.when_full; },
          [&](const snapshot_changed &c) {
            done(c.request), snapshots.at({c.volume, c.number}).priority = c.priority;
          },
          [&](const snapshot_held &c) {
            done(c.request), snapshots.at({c.volume, c.number}).holds.push_back(c.tag);
          },
          [&](const snapshot_released &c) {
            done(c.request), std::erase(snapshots.at({c.volume, c.number}).holds, c.tag);
          },
          [&](const chunks_returned &c) {
            for (std::uint64_t i = 0; i < c.count; ++i) {
              used.erase(c.first.value + i);
              reserved[c.id].erase(c.first.value + i);
            }
            if (reserved[c.id].empty()) reserved.erase(c.id);
          },
          [&](const store_grown &g) { chunk_count = g.chunk_count; },
      },
      r);
}

// By the definition: an exception goes when no snapshot that counts lies in (previous original number, n].
void store_model::reap(const reaped &r) {
  std::vector<std::tuple<volume_id, chunk_no, snapshot_number>> gone;
  const auto end = exceptions.lower_bound({r.volume, r.end, {}});
  for (auto at = exceptions.lower_bound({r.volume, r.first, {}}); at != end; ++at) {
    const auto &key = at->first;
    const auto &[volume, chunk, number] = key;
    snapshot_number previous{};
    if (at != exceptions.begin()) {
      const auto &[other_volume, other_chunk, other_number] = std::prev(at)->first;
      if (other_volume == volume && other_chunk == chunk) previous = other_number;
    }
    bool needed = false;
    for (const auto &[id, s] : snapshots)
      needed |= id.first == volume && s.counts_for_sharing() && id.second > previous && id.second <= number;
    if (!needed) gone.push_back(key);
  }
  for (const auto &key : gone) {
    if (!exceptions[key].is_zero()) used.erase(exceptions[key].value);
    exceptions.erase(key);
  }
  volume_info &v = volumes.at(r.volume);
  v.reap_cursor = r.pass_done ? chunk_no{} : r.end;
  if (!r.pass_done) return;
  ++v.reap_pass;
  std::erase_if(snapshots, [&](const auto &item) {
    return item.first.first == r.volume && item.second.state == snapshot_state::dead &&
           item.second.reap_pass < v.reap_pass;
  });
}

std::string store_model::difference(engine &e) const {
  if (e.volumes() != volumes) return "volumes";
  if (e.sessions() != sessions) return "sessions";
  if (!(e.current_settings() == values)) return "settings";
  std::size_t snapshots_seen = 0;
  for (const auto &[id, v] : volumes)
    for (const auto &[number, s] : e.snapshots(id)) {
      ++snapshots_seen;
      const auto found = snapshots.find({id, number});
      if (found == snapshots.end() || !(found->second == s))
        return "snapshot " + std::to_string(number.value);
    }
  if (snapshots_seen != snapshots.size()) return "number of snapshots";
  std::size_t reservations_seen = 0;
  for (const auto &[id, r] : e.reservations()) {
    ++reservations_seen;
    const auto found = reserved.find(id);
    if (found == reserved.end()) return "reservation " + std::to_string(id.value) + " is not there";
    for (std::uint64_t i = 0; i < r.count; ++i)
      if (r.reserved[i] != found->second.contains(r.first.value + i))
        return "reservation " + std::to_string(id.value);
  }
  if (reservations_seen != reserved.size()) return "number of reservations";
  std::size_t exceptions_seen = 0;
  for (const auto &[id, v] : volumes) {
    chunk_no resume;
    for (chunk_no from{}; from.value < ~std::uint64_t{0}; from = resume) {
      auto listed = e.list_exceptions(id, from, chunk_no{~std::uint64_t{0}}, 64, &resume);
      if (!listed) return "listing: " + listed.error().text;
      for (const exception &x : *listed) {
        ++exceptions_seen;
        const auto found = exceptions.find({id, x.chunk, x.number});
        if (found == exceptions.end() || found->second != x.place)
          return "exception of chunk " + std::to_string(x.chunk.value) + " numbered " +
                 std::to_string(x.number.value);
      }
    }
  }
  if (exceptions_seen != exceptions.size())
    return "exceptions: expected " + std::to_string(exceptions.size()) + ", found " +
           std::to_string(exceptions_seen);
  const space_usage u = e.usage();
  if (u.exceptions != exceptions.size()) return "count of exceptions";
  if (chunk_count != 0 && u.chunks_total != chunk_count) return "number of chunks";
  if (u.chunks_total - u.chunks_free != used.size())
    return "used chunks: expected " + std::to_string(used.size()) + ", found " +
           std::to_string(u.chunks_total - u.chunks_free);
  for (const unique_id &id : requests)
    if (requests.size() <= 1024 && !e.request_done(id)) return "request is not known";
  return "";
}

result<> run_log_batch(engine &e, block_device &device) {
  if (const auto batch = e.take_log_batch()) {
    if (auto done = run_writes(device, batch->writes, durability::durable); !done) return done;
    e.log_batch_durable();
  }
  return {};
}

result<> run_checkpoint(engine &e, block_device &device) {
  auto pages = e.take_checkpoint();
  if (!pages) return pages.error();
  if (auto done = run_writes(device, pages->writes, durability::cached); !done) return done;
  if (auto done = run_log_batch(e, device); !done) return done;
  if (auto done = device.flush(); !done) return done;
  if (auto done = run_writes(device, e.take_root().writes, durability::durable); !done) return done;
  e.checkpoint_done();
  return {};
}

}  // namespace csnap::test
