// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/dump_reader.h"

#include "metaserver/base/names.h"
#include "metaserver/store/record_fields.h"

#include <algorithm>
#include <charconv>

namespace csnap::store {
namespace {

constexpr std::uint64_t u32_max = 0xffffffff;
constexpr std::uint64_t counter_max = std::uint64_t{1} << 62;  // one more never overflows

// {"a":1,"b":2}: the fields in their order.
class object_reader {
 public:
  explicit object_reader(json_scanner &in) : in_(in) { in_.expect('{'); }
  ~object_reader() { in_.expect('}'); }
  std::uint64_t count(const char *name, std::uint64_t max = ~std::uint64_t{0}) {
    next(name);
    return in_.number(max);
  }
  std::uint32_t small_count(const char *name) { return static_cast<std::uint32_t>(count(name, u32_max)); }
  std::int64_t signed_count(const char *name) {
    next(name);
    return in_.signed_number();
  }
  bool flag(const char *name) {
    next(name);
    return in_.flag();
  }
  std::string text(const char *name, std::size_t length_max) {
    next(name);
    return in_.text(length_max);
  }
  unique_id id(const char *name) {
    next(name);
    return read_dump_id(in_);
  }

 private:
  void next(const char *name) {
    if (!first_) in_.expect(',');
    first_ = false;
    in_.key(name);
  }
  json_scanner &in_;
  bool first_ = true;
};

geometry read_geometry(json_scanner &in) {
  object_reader o(in);
  geometry g;
  g.store = o.id("store");
  g.restore_generation = o.count("restore_generation", counter_max);
  g.chunk_bytes = o.small_count("chunk_bytes");
  g.node_count = o.small_count("node_count");
  g.slots_offset_bytes = o.count("slots_offset_bytes");
  g.logs_offset_bytes = o.count("logs_offset_bytes");
  g.log_blocks = o.count("log_blocks");
  g.pages_offset_bytes = o.count("pages_offset_bytes");
  g.page_count = o.count("page_count");
  g.separate_metadata = o.flag("separate_metadata");
  g.chunks_offset_bytes = o.count("chunks_offset_bytes");
  g.chunk_count = o.count("chunk_count");
  g.created_unix_ms = o.signed_count("created_unix_ms");
  return g;
}

// "COUNTER.NODE"
term_id read_term(json_scanner &in, const std::string &text) {
  term_id term;
  const char *end = text.data() + text.size();
  const auto counter = std::from_chars(text.data(), end, term.counter);
  const bool has_dot = counter.ec == std::errc() && counter.ptr != end && *counter.ptr == '.';
  const auto node = has_dot ? std::from_chars(counter.ptr + 1, end, term.node) : counter;
  if (!has_dot || node.ec != std::errc() || node.ptr != end || term.counter > counter_max)
    in.fail("expected a term, found \"" + text + "\"");
  return term;
}

void read_root(json_scanner &in, dump_head &head) {
  object_reader o(in);
  head.term = read_term(in, o.text("term", 40));
  o.count("generation");
  head.last_record.value = o.count("covers", counter_max);
  head.last_record.value += o.count("log_records", counter_max);
  head.exceptions = o.count("exceptions");
  head.last_snapshot = snapshot_number{o.count("last_snapshot", counter_max)};
  head.last_session = session_id{o.count("last_session", counter_max)};
  head.last_reservation = reservation_id{o.count("last_reservation", counter_max)};
  head.request_counter = o.count("request_counter", counter_max);
}

settings read_settings(json_scanner &in) {
  object_reader o(in);
  settings s;
  s.lease_ms = o.small_count("lease_ms");
  s.lease_margin_ms = o.small_count("lease_margin_ms");
  s.barrier_ms = o.small_count("barrier_ms");
  s.longest_lease_ms = o.small_count("longest_lease_ms");
  return s;
}

snapshot_state read_state(json_scanner &in, const std::string &text) {
  if (text == "live") return snapshot_state::live;
  if (text == "dying") return snapshot_state::dying;
  if (text != "dead") in.fail("expected live, dying or dead, found \"" + text + "\"");
  return snapshot_state::dead;
}

full_policy read_policy(json_scanner &in, const std::string &text) {
  const auto policy = parse_full_policy(text);
  if (!policy) in.fail("expected error, origin-first or snapshot-first, found \"" + text + "\"");
  return policy.value_or(full_policy::error);
}

// Tags with a space between them.
std::vector<std::string> read_holds(json_scanner &in, const std::string &text) {
  std::vector<std::string> tags;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    tags.push_back(text.substr(at, end - at));
    if (!is_valid_tag(tags.back())) in.fail("expected tags of holds, found \"" + text + "\"");
    at = end + 1;
  }
  if (tags.size() > holds_max) in.fail("expected at most " + std::to_string(holds_max) + " holds");
  return tags;
}

}  // namespace

unique_id read_dump_id(json_scanner &in) {
  const std::string text = in.text(36);
  unique_id id;
  std::string digits;
  for (const char c : text)
    if (c != '-') digits += c;
  for (std::size_t i = 0; i < id.bytes.size() && digits.size() == 32; ++i) {
    unsigned value = 0;
    const auto done = std::from_chars(digits.data() + 2 * i, digits.data() + 2 * i + 2, value, 16);
    if (done.ptr != digits.data() + 2 * i + 2) break;
    id.bytes[i] = static_cast<std::byte>(value);
  }
  if (in.ok() && to_text(id) != text) in.fail("expected an id, found \"" + text + "\"");
  return id;
}

dump_head read_dump_head(json_scanner &in) {
  dump_head head;
  in.expect('{');
  in.key("format");
  in.expect_text("csnap-dump");
  read_list_key(in, "version");
  if (const auto version = in.number(); in.ok() && version != 2)
    in.fail("expected version 2, found " + std::to_string(version));
  read_list_key(in, "geometry");
  head.shape = read_geometry(in);
  read_list_key(in, "root");
  read_root(in, head);
  read_list_key(in, "settings");
  head.values = read_settings(in);
  return head;
}

void read_list_key(json_scanner &in, const char *name) {
  in.expect(',');
  in.key(name);
}

volume_info read_dump_volume(json_scanner &in) {
  object_reader o(in);
  volume_info v;
  v.id = volume_id{o.small_count("id")};
  v.name = o.text("name", name_length_max);
  v.device = o.text("device", device_length_max);
  v.size_bytes = o.count("size_bytes", std::uint64_t{1} << 60);
  v.epoch.number = snapshot_number{o.count("epoch_number")};
  v.epoch.nonce = o.count("epoch_nonce");
  v.reap_cursor = chunk_no{o.count("reap_cursor")};
  v.reap_pass = o.count("reap_pass");
  v.parent_volume = volume_id{o.small_count("parent_volume")};
  v.parent_snapshot = snapshot_number{o.count("parent_snapshot")};
  v.when_full = read_policy(in, o.text("when_full", 20));
  v.unflushed = o.flag("unflushed");
  v.sacrificed = o.count("sacrificed", counter_max);
  return v;
}

snapshot_info read_dump_snapshot(json_scanner &in) {
  object_reader o(in);
  snapshot_info s;
  s.volume = volume_id{o.small_count("volume")};
  s.number = snapshot_number{o.count("number")};
  s.name = o.text("name", name_length_max);
  s.state = read_state(in, o.text("state", 8));
  s.created_unix_ms = o.signed_count("created_unix_ms");
  const std::int64_t priority = o.signed_count("priority");
  s.priority = static_cast<std::int32_t>(priority);
  if (s.priority != priority) in.fail("expected a priority of 32 bits, found " + std::to_string(priority));
  s.size_bytes = o.count("size_bytes", std::uint64_t{1} << 60);
  s.reap_pass = o.count("reap_pass");
  s.sacrificed = o.flag("sacrificed");
  s.holds = read_holds(in, o.text("holds", holds_max * (tag_length_max + 1)));
  return s;
}

session_info read_dump_session(json_scanner &in) {
  object_reader o(in);
  session_info s;
  s.id = session_id{o.count("id")};
  s.node = o.text("node", node_name_length_max);
  s.boot = o.id("boot");
  s.pid = o.small_count("pid");
  s.process_start = o.count("process_start");
  s.io_ends_with_process = o.flag("io_ends_with_process");
  s.lease_ms = o.small_count("lease_ms");
  return s;
}

reservation_info read_dump_reservation(json_scanner &in) {
  object_reader o(in);
  reservation_info r;
  r.id = reservation_id{o.count("id")};
  r.session = session_id{o.count("session")};
  r.first = store_chunk{o.count("first")};
  r.count = static_cast<std::uint32_t>(o.count("count", reservation_chunks_max));
  const std::string bits = o.text("reserved", reservation_chunks_max);
  if (in.ok() && bits.size() != r.count)
    in.fail("expected " + std::to_string(r.count) + " chunks, found " + std::to_string(bits.size()));
  for (const char bit : bits) {
    if (bit != '0' && bit != '1') in.fail("expected 0 or 1 for each chunk");
    r.reserved.push_back(bit == '1');
  }
  return r;
}

exception read_dump_exception(json_scanner &in) {
  exception e;
  in.expect('[');
  e.chunk = chunk_no{in.number()};
  in.expect(',');
  e.number = snapshot_number{in.number()};
  in.expect(',');
  if (in.take_if('"')) {
    for (const char c : std::string_view("zero\"")) in.expect(c);
    e.place = store_chunk::zero();
  } else {
    e.place = store_chunk{in.number(store_chunk::zero_value - 1)};
  }
  in.expect(']');
  return e;
}

}  // namespace csnap::store
