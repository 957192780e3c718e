// SPDX-License-Identifier: BSD-3-Clause
//
// Writes the JSON by hand and as it goes: a store may have more exceptions than fit into memory. The
// secrets of sessions are left out, so that a dump opens no door.
#include "metaserver/store/offline.h"

#include "metaserver/base/check.h"
#include "metaserver/store/recovery.h"

#include <cstdio>

namespace csnap::store {

namespace {

using sink = std::function<void(std::string_view)>;
constexpr std::size_t piece_bytes = 32u << 10;

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += escape;
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string number(std::uint64_t value) { return std::to_string(value); }

// "name":value, with a comma before all but the first of an object.
class json_object {
 public:
  json_object &raw(const char *name, const std::string &value) {
    text_ += (text_.size() > 1 ? ",\"" : "\"") + std::string(name) + "\":" + value;
    return *this;
  }
  json_object &text(const char *name, std::string_view value) { return raw(name, quoted(value)); }
  json_object &count(const char *name, std::uint64_t value) { return raw(name, number(value)); }
  json_object &signed_count(const char *name, std::int64_t value) { return raw(name, std::to_string(value)); }
  json_object &flag(const char *name, bool value) { return raw(name, value ? "true" : "false"); }
  std::string done() const { return text_ + "}"; }

 private:
  std::string text_ = "{";
};

// The elements of an array, in pieces of bounded size.
class json_array {
 public:
  explicit json_array(const sink &out) : out_(out) { pending_ = "["; }
  void add(const std::string &element) {
    if (!first_) pending_ += ",\n";
    first_ = false;
    pending_ += element;
    if (pending_.size() >= piece_bytes) send();
  }
  void end() {
    pending_ += "]";
    send();
  }

 private:
  void send() {
    out_(pending_);
    pending_.clear();
  }
  const sink &out_;
  std::string pending_;
  bool first_ = true;
};

std::string geometry_text(const geometry &g) {
  return json_object()
      .text("store", to_text(g.store))
      .count("restore_generation", g.restore_generation)
      .count("chunk_bytes", g.chunk_bytes)
      .count("node_count", g.node_count)
      .count("slots_offset_bytes", g.slots_offset_bytes)
      .count("logs_offset_bytes", g.logs_offset_bytes)
      .count("log_blocks", g.log_blocks)
      .count("pages_offset_bytes", g.pages_offset_bytes)
      .count("page_count", g.page_count)
      .flag("separate_metadata", g.separate_metadata)
      .count("chunks_offset_bytes", g.chunks_offset_bytes)
      .count("chunk_count", g.chunk_count)
      .signed_count("created_unix_ms", g.created_unix_ms)
      .done();
}

std::string root_text(const recovered &now) {
  const store_state &state = *now.state;
  return json_object()
      .text("term", to_text(now.newest.term))
      .count("generation", now.newest.generation)
      .count("covers", now.newest.covers.value)
      .count("log_records", now.log_records)
      .count("exceptions", state.exception_count)
      .count("last_snapshot", state.catalog.last_snapshot.value)
      .count("last_session", state.catalog.last_session.value)
      .count("last_reservation", state.catalog.last_reservation.value)
      .count("request_counter", state.catalog.request_counter)
      .done();
}

std::string settings_text(const settings &s) {
  return json_object()
      .count("lease_ms", s.lease_ms)
      .count("lease_margin_ms", s.lease_margin_ms)
      .count("barrier_ms", s.barrier_ms)
      .count("longest_lease_ms", s.longest_lease_ms)
      .done();
}

const char *state_name(snapshot_state state) {
  switch (state) {
    case snapshot_state::live: return "live";
    case snapshot_state::dying: return "dying";
    case snapshot_state::dead: return "dead";
  }
  unreachable("snapshot state");
}

std::string volume_text(const volume_info &v) {
  return json_object()
      .count("id", v.id.value)
      .text("name", v.name)
      .text("device", v.device)
      .count("size_bytes", v.size_bytes)
      .count("epoch_number", v.epoch.number.value)
      .count("epoch_nonce", v.epoch.nonce)
      .count("reap_cursor", v.reap_cursor.value)
      .count("reap_pass", v.reap_pass)
      .count("parent_volume", v.parent_volume.value)
      .count("parent_snapshot", v.parent_snapshot.value)
      .text("when_full", to_text(v.when_full))
      .flag("unflushed", v.unflushed)
      .count("sacrificed", v.sacrificed)
      .done();
}

std::string snapshot_text(const snapshot_info &s) {
  std::string holds;
  for (const std::string &tag : s.holds) holds += (holds.empty() ? "" : " ") + tag;
  return json_object()
      .count("volume", s.volume.value)
      .count("number", s.number.value)
      .text("name", s.name)
      .text("state", state_name(s.state))
      .signed_count("created_unix_ms", s.created_unix_ms)
      .signed_count("priority", s.priority)
      .count("size_bytes", s.size_bytes)
      .count("reap_pass", s.reap_pass)
      .flag("sacrificed", s.sacrificed)
      .text("holds", holds)
      .done();
}

std::string session_text(const session_info &s) {
  return json_object()
      .count("id", s.id.value)
      .text("node", s.node)
      .text("boot", to_text(s.boot))
      .count("pid", s.pid)
      .count("process_start", s.process_start)
      .flag("io_ends_with_process", s.io_ends_with_process)
      .count("lease_ms", s.lease_ms)
      .done();
}

std::string reservation_text(const reservation_info &r) {
  std::string bits;
  for (const bool reserved : r.reserved) bits += reserved ? '1' : '0';
  return json_object()
      .count("id", r.id.value)
      .count("session", r.session.value)
      .count("first", r.first.value)
      .count("count", r.count)
      .text("reserved", bits)
      .done();
}

// ,"NAME":[element, ...], the elements being given one after the other to what `fill` is called with.
template <class Fill>
void dump_list(const char *name, const sink &out, const Fill &fill) {
  out(std::string(",\n\"") + name + "\":");
  json_array list(out);
  fill([&](const std::string &element) { list.add(element); });
  list.end();
}

void dump_catalog(const catalog_state &catalog, const sink &out) {
  dump_list("volumes", out, [&](const auto &add) {
    for (const auto &[id, volume] : catalog.volumes) add(volume_text(volume));
  });
  dump_list("snapshots", out, [&](const auto &add) {
    for (const auto &[id, volume] : catalog.volumes)
      for (const auto &[snapshot_no, snapshot] : catalog.detail(id).snapshots) add(snapshot_text(snapshot));
  });
  dump_list("sessions", out, [&](const auto &add) {
    for (const auto &[id, session] : catalog.sessions) add(session_text(session));
  });
  dump_list("reservations", out, [&](const auto &add) {
    for (const auto &[id, reservation] : catalog.reservations) add(reservation_text(reservation));
  });
  dump_list("requests", out, [&](const auto &add) {
    for (const unique_id &id : catalog.requests_in_order()) add(quoted(to_text(id)));
  });
}

// {"VOLUME ID": [[chunk, number, place], ...], ...}
result<> dump_exceptions(store_state &state, const sink &out) {
  out(",\n\"exceptions\":{");
  const char *comma = "";
  for (const auto &[id, volume] : state.catalog.volumes) {
    out(comma + quoted(number(id.value)) + ":");
    comma = ",\n";
    json_array entries(out);
    std::uint64_t count = 0;
    auto at = state.exceptions.seek(exception_key(id, chunk_no{0}, snapshot_number{0}));
    while (at && !at->at_end() && at->key().first() == id.value) {
      const store_chunk place = place_at(at->value());
      entries.add("[" + number(at->key().second()) + "," + number(at->key().third()) + "," +
                  (place.is_zero() ? "\"zero\"" : number(place.value)) + "]");
      if (auto done = at->next(); !done) return done;
      // A cursor is good until the cache is trimmed: find the place again now and then.
      if (++count % 4096 == 0 && !at->at_end()) {
        const tree_key next = at->key();
        state.cache.trim();
        at = state.exceptions.seek(next);
      }
    }
    if (!at) return at.error();
    entries.end();
  }
  out("}");
  return {};
}

void dump_free(const space_map &chunks, const sink &out) {
  out(",\n\"free\":");
  json_array runs(out);
  for (std::uint64_t i = 0; i < chunks.unit_count();) {
    const std::uint64_t first = i;
    while (i < chunks.unit_count() && !chunks.is_busy(i)) ++i;
    if (i > first) runs.add("[" + number(first) + "," + number(i - first) + "]");
    while (i < chunks.unit_count() && chunks.is_busy(i)) ++i;
  }
  runs.end();
}

}  // namespace

result<> dump_store(block_device &metadata, const sink &out) {
  const auto found = read_label(metadata);
  if (!found) return found.error();
  if (found->role == device_role::data)
    return fail(errc::invalid, "this device holds chunks only: give the metadata device");
  const auto slots = read_all_slots(metadata, found->shape);
  if (!slots) return slots.error();
  // Replaying may need pages, and takes them in memory only: any will do.
  area_set any_area;
  any_area.fill(std::byte{0xff});
  const auto now = recover(metadata, found->shape, *slots, {}, any_area, offline_cache_bytes);
  if (!now) return now.error();
  out("{\"format\":\"csnap-dump\",\"version\":2,\n\"geometry\":" + geometry_text(now->state->shape));
  out(",\n\"root\":" + root_text(*now));
  out(",\n\"settings\":" + settings_text(now->state->catalog.values));
  dump_catalog(now->state->catalog, out);
  if (auto done = dump_exceptions(*now->state, out); !done) return done;
  dump_free(now->state->chunks, out);
  out("}\n");
  return {};
}

}  // namespace csnap::store
