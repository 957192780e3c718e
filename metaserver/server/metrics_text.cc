// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/metrics_text.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <sstream>
#include <utility>

namespace csnap::server {
namespace {

using label = std::pair<const char *, std::string>;

std::string quoted(const std::string &value) {
  std::string out = "\"";
  for (const char c : value)
    if (c == '\n') out += "\\n";
    else if (c == '"' || c == '\\') (out += '\\') += c;
    else out += c;
  return out + "\"";
}

class metrics {
 public:
  void begin(const char *name, const char *type, const char *help) {
    name_ = name;
    text_ += std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
  }
  template <class Number>
  void value(Number number, std::initializer_list<label> labels = {}) {
    text_ += name_;
    const char *before = "{";
    for (const auto &[key, text] : labels) {
      text_ += std::string(before) + key + "=" + quoted(text);
      before = ",";
    }
    if (labels.size() > 0) text_ += "}";
    text_ += " " + std::to_string(number) + "\n";
  }
  void distribution(const char *name, const char *help, const histogram &of) {
    begin(name, "histogram", help);
    const std::string bucket = std::string(name) + "_bucket";
    std::uint64_t at_or_below = 0;
    for (std::size_t i = 0; i < of.bounds().size(); ++i) {
      at_or_below += of.count_of(i);
      std::ostringstream bound;  // as short as the number is
      bound << of.bounds()[i];
      text_ += bucket + "{le=" + quoted(bound.str()) + "} " + std::to_string(at_or_below) + "\n";
    }
    text_ += bucket + "{le=\"+Inf\"} " + std::to_string(of.count()) + "\n";
    text_ += std::string(name) + "_sum " + std::to_string(of.sum()) + "\n";
    text_ += std::string(name) + "_count " + std::to_string(of.count()) + "\n";
  }
  template <class Number>
  void one(const char *name, const char *type, const char *help, Number number) {
    begin(name, type, help);
    value(number);
  }
  std::string take() { return std::move(text_); }

 private:
  const char *name_ = "";
  std::string text_;
};

void add_role(metrics &m, bool is_master) {
  m.one("csnap_master", "gauge", "1: this server is the master of its store, 0: it stands by.",
        is_master ? 1 : 0);
}

void add_store(metrics &m, const store::engine &engine) {
  const store::space_usage usage = engine.usage();
  const std::uint64_t chunk_bytes = engine.shape().chunk_bytes;
  m.one("csnap_store_bytes", "gauge", "Size of the store's room for copies.",
        usage.chunks_total * chunk_bytes);
  m.begin("csnap_store_used_bytes", "gauge", "Room for copies that is not free, by what has it.");
  m.value(usage.chunks_owned * chunk_bytes, {{"by", "snapshots"}});
  m.value(usage.chunks_reserved * chunk_bytes, {{"by", "sessions"}});
  m.one("csnap_store_free_bytes", "gauge", "Room for copies that is free.", usage.chunks_free * chunk_bytes);
  m.one("csnap_metadata_pages", "gauge", "Pages of the metadata area.", usage.pages_total);
  m.one("csnap_metadata_free_pages", "gauge", "Pages of the metadata area that are free.", usage.pages_free);
}

void add_volumes(metrics &m, const store::engine &engine) {
  const auto each = [&](auto &&number_of) {
    for (const auto &[id, volume] : engine.volumes())
      m.value(number_of(id, volume), {{"volume", volume.name}});
  };
  m.begin("csnap_volume_bytes", "gauge", "Size of a volume.");
  each([](volume_id, const auto &volume) { return volume.size_bytes; });
  m.begin("csnap_volume_snapshots", "gauge", "Live snapshots of a volume.");
  each([&](volume_id id, const auto &) {
    const auto &all = engine.snapshots(id);
    return std::count_if(all.begin(), all.end(),
                         [](const auto &entry) { return entry.second.state == store::snapshot_state::live; });
  });
  m.begin("csnap_volume_exceptions", "gauge", "Chunks recorded for the snapshots of a volume.");
  each([&](volume_id id, const auto &) { return engine.exceptions_of(id); });
}

void add_sessions(metrics &m, const core::core_status &status) {
  const auto each = [&](auto &&number_of) {
    for (const core::session_status &s : status.sessions)
      m.value(number_of(s),
              {{"session", std::to_string(s.id.value)}, {"node", s.node}, {"pid", std::to_string(s.pid)}});
  };
  m.one("csnap_sessions", "gauge", "Clients that do I/O, the expired ones too.", status.sessions.size());
  m.begin("csnap_session_expired", "gauge", "1: its lease has run out and its end is not proven.");
  each([](const auto &s) { return s.expired ? 1 : 0; });
  m.begin("csnap_session_lease_seconds", "gauge", "What is left of its lease.");
  each([](const auto &s) { return static_cast<double>(s.lease_left_ms) / 1000; });
  m.begin("csnap_session_reserved_chunks", "gauge", "Store chunks that it may write.");
  each([](const auto &s) { return s.chunks_reserved; });
  m.begin("csnap_session_delegations", "gauge", "Ranges of snapshots that it may read from the origin.");
  each([](const auto &s) { return s.delegations; });
}

void add_work(metrics &m, const core::core_status &status, const commit_figures &work) {
  m.one("csnap_commits_total", "counter", "Batches of copy-outs that were recorded.", status.commits);
  m.one("csnap_chunks_copied_total", "counter", "Chunks that were copied out.", status.chunks_copied);
  m.one("csnap_recalls_total", "counter", "Delegations that were recalled.", status.recalls_sent);
  m.one("csnap_snapshots_created_total", "counter", "Snapshots that were created.", status.snapshots_created);
  m.one("csnap_creates_failed_total", "counter", "Creates that failed because a client did not answer.",
        status.barriers_failed);
  m.one("csnap_reaper_snapshots", "gauge", "Deleted snapshots whose space is not back yet.",
        status.reaper.snapshots_waiting);
  m.one("csnap_reaper_exceptions_total", "counter", "Exceptions of deleted snapshots that were removed.",
        status.reaper.exceptions_removed);
  m.distribution("csnap_commit_chunks", "Chunks in a batch of copy-outs.", status.commit_chunks);
  m.distribution("csnap_create_pause_seconds", "For how long a create stopped writes.",
                 status.create_pause_seconds);
  m.distribution("csnap_log_batch_seconds", "A group commit, from its write to its end on the device.",
                 work.log_batch_seconds);
  m.distribution("csnap_checkpoint_seconds", "A checkpoint, from its pages to its root.",
                 work.checkpoint_seconds);
}

}  // namespace

std::string metrics_text(const store::engine &engine, const core::core_status &status,
                         const server_description &server, const commit_figures &work) {
  metrics m;
  add_role(m, true);
  m.one("csnap_term", "gauge", "Counter of the master's term.", status.term.counter);
  m.one("csnap_uptime_seconds", "gauge", "Since this master took over.", server.uptime_seconds);
  m.one("csnap_grace", "gauge", "1: waiting for the clients of the previous master.",
        status.in_grace ? 1 : 0);
  m.one("csnap_conditions", "gauge", "Conditions that need attention; csnap status explains them.",
        status.conditions.size());
  add_store(m, engine);
  add_volumes(m, engine);
  add_sessions(m, status);
  add_work(m, status, work);
  return m.take();
}

std::string standby_metrics_text() {
  metrics m;
  add_role(m, false);
  return m.take();
}

}  // namespace csnap::server
