// SPDX-License-Identifier: BSD-3-Clause
//
// A dump becomes a store: like format, with the dump's contents instead of none. They are put into the state
// as they come and written as checkpoints now and then, so that a dump may be longer than memory.
#include "metaserver/base/byte_writer.h"
#include "metaserver/store/check_contents.h"
#include "metaserver/store/dump_reader.h"
#include "metaserver/store/offline.h"
#include "metaserver/store/slot_blocks.h"
#include "metaserver/store/superblock_writing.h"

namespace csnap::store {
namespace {

area_set all_areas() {
  area_set all;
  all.fill(std::byte{0xff});
  return all;
}

// Terms that served between the dump and now may be unknown: clients that saw one must listen to this one.
constexpr std::uint64_t term_step = 1000000;

class restoration {
 public:
  restoration(block_device &metadata, const geometry &shape, const dump_head &head,
              const restore_request &request, json_scanner &in)
      : metadata_(metadata),
        head_(head),
        request_(request),
        in_(in),
        state_(metadata, shape, offline_cache_bytes),
        findings_(found_) {
    own_.node = 0;
    own_.sequence = 1;  // the initial slots'
    own_.term = {std::max(head.term.counter, request.term_above) + term_step, 0};
  }

  result<> run() {
    if (auto done = state_.load(root{}, all_areas(), own_.term); !done) return done;
    catalog().values = head_.values;
    catalog().note(catalog_kind::settings, 0);
    catalog().last_snapshot = head_.last_snapshot;
    catalog().last_session = head_.last_session;
    catalog().last_reservation = head_.last_reservation;
    read_catalog();
    if (!in_.ok()) return in_.why();
    check_catalog(catalog(), state_.shape, findings_);
    if (!found_.ok()) return fail(errc::invalid, "dump: " + found_.errors.front());
    if (auto done = read_exceptions(); !done) return done;
    read_free();
    in_.expect('}');
    in_.expect_end();
    if (in_.ok() && state_.exception_count != head_.exceptions)
      in_.fail("expected " + std::to_string(head_.exceptions) + " exceptions, found " +
               std::to_string(state_.exception_count));
    if (!in_.ok()) return in_.why();
    return write_root();
  }

 private:
  catalog_state &catalog() { return state_.catalog; }

  void read_catalog() {
    bool first = true;
    for (read_list_key(in_, "volumes"); in_.next_element(first);) {
      const volume_info v = read_dump_volume(in_);
      if (catalog().volumes.contains(v.id) || v.id.value == 0 || v.name.empty() ||
          catalog().find_volume(v.name) != nullptr)
        return in_.fail("volume " + std::to_string(v.id.value) + ": its id or name is taken, or none");
      catalog().put_volume(v);
    }
    first = true;
    for (read_list_key(in_, "snapshots"); in_.next_element(first);) {
      const snapshot_info s = read_dump_snapshot(in_);
      if (!catalog().volumes.contains(s.volume) || catalog().detail(s.volume).snapshots.contains(s.number))
        return in_.fail("snapshot " + std::to_string(s.number.value) +
                        ": its volume is unknown, or it comes twice");
      catalog().put_snapshot(s);
    }
    first = true;
    for (read_list_key(in_, "sessions"); in_.next_element(first);) {
      session_info s = read_dump_session(in_);
      s.secret = request_.draw();
      if (!catalog().sessions.emplace(s.id, s).second)
        return in_.fail("session " + std::to_string(s.id.value) + " comes twice");
      catalog().note(catalog_kind::session, s.id.value);
    }
    first = true;
    for (read_list_key(in_, "reservations"); in_.next_element(first);) read_reservation();
    read_requests();
  }

  void read_reservation() {
    const reservation_info r = read_dump_reservation(in_);
    if (!in_.ok()) return;
    const std::uint64_t chunks = state_.shape.chunk_count;
    if (catalog().reservations.contains(r.id) || r.first.value >= chunks || r.count > chunks - r.first.value)
      return in_.fail("reservation " + std::to_string(r.id.value) +
                      " comes twice, or is outside of the store");
    for (std::uint32_t i = 0; i < r.count; ++i)
      if (r.reserved[i]) take(store_chunk{r.first.value + i});
    catalog().put_reservation(r);
  }

  void read_requests() {
    std::vector<unique_id> requests;
    bool first = true;
    for (read_list_key(in_, "requests"); in_.next_element(first);) {
      requests.push_back(read_dump_id(in_));
      if (requests.back() == unique_id{} || requests.size() > requests_remembered ||
          requests.size() > head_.request_counter)
        return in_.fail("expected at most " +
                        std::to_string(std::min<std::uint64_t>(requests_remembered, head_.request_counter)) +
                        " requests, none of them 0");
    }
    catalog().request_counter = head_.request_counter - requests.size();
    for (const unique_id &id : requests) catalog().remember_request(id);
  }

  // Precondition: within the store.
  void take(store_chunk place) {
    if (state_.chunks.is_busy(place.value))
      in_.fail("store chunk " + std::to_string(place.value) + " has a second owner");
    else state_.chunks.take(place.value);
  }

  result<> read_exceptions() {
    read_list_key(in_, "exceptions");
    in_.expect('{');
    const char *comma = "";
    for (const auto &[id, volume] : catalog().volumes) {
      if (*comma != '\0') in_.expect(*comma);
      comma = ",";
      in_.key(std::to_string(id.value));
      tree_key last;
      bool first = true;
      while (in_.next_element(first)) {
        const exception e = read_dump_exception(in_);
        if (!in_.ok()) break;
        if (auto done = put(id, e, last); !done) return done;
      }
      catalog().note(catalog_kind::volume, id.value);
    }
    in_.expect('}');
    if (!in_.ok()) return in_.why();
    return {};
  }

  result<> put(volume_id volume, const exception &e, tree_key &last) {
    const tree_key key = exception_key(volume, e.chunk, e.number);
    byte_writer value;
    value.u64(e.place.value);
    if (key <= last) in_.fail("expected exceptions in ascending order");
    last = key;
    check_exception(key, value.bytes(), catalog(), state_.shape, findings_);
    if (!found_.ok()) in_.fail(found_.errors.front());
    if (in_.ok() && !e.place.is_zero()) take(e.place);
    if (!in_.ok()) return in_.why();
    auto added = state_.exceptions.put(key, value.bytes());
    if (!added) return added.error();
    ++state_.exception_count;
    ++catalog().change_detail(volume).exception_count;
    if (state_.cache.fresh_count() > state_.cache.capacity() / 4) return write_root();
    return {};
  }

  // What is free follows from all the rest: a difference shows a dump that was cut or changed.
  void read_free() {
    std::uint64_t at = 0;
    const auto skip_used = [&] {
      while (at < state_.chunks.unit_count() && state_.chunks.is_busy(at)) ++at;
    };
    bool first = true;
    for (read_list_key(in_, "free"); in_.next_element(first);) {
      skip_used();
      in_.expect('[');
      const std::uint64_t begin = in_.number();
      in_.expect(',');
      const std::uint64_t count = in_.number();
      in_.expect(']');
      const std::uint64_t expected = at;
      while (at < state_.chunks.unit_count() && !state_.chunks.is_busy(at)) ++at;
      if (in_.ok() && (begin != expected || count != at - expected || count == 0))
        in_.fail("free chunks: expected [" + std::to_string(expected) + "," + std::to_string(at - expected) +
                 "], found [" + std::to_string(begin) + "," + std::to_string(count) + "]");
    }
    skip_used();
    if (in_.ok() && at < state_.chunks.unit_count())
      in_.fail("free chunks: expected more, from " + std::to_string(at) + " on");
  }

  result<> write_root() {
    root next;
    next.covers = head_.last_record;
    next.log_sequence = 1;
    auto pages = state_.write_pages(next);
    if (!pages) return pages.error();
    if (auto done = run_writes(metadata_, *pages, durability::cached); !done) return done;
    if (auto done = metadata_.flush(); !done) return done;
    ++own_.sequence;
    own_.newest_root = next;
    if (auto done = run_writes(metadata_, slot_writes(state_.shape, own_), durability::durable); !done)
      return done;
    state_.cache.frozen_are_durable();
    state_.pages.checkpoint_done();
    state_.cache.trim();
    return {};
  }

  block_device &metadata_;
  const dump_head &head_;
  const restore_request &request_;
  json_scanner &in_;
  store_state state_;
  slot own_;
  check_report found_;
  check_findings findings_;
};

result<> check_possible(const geometry &shape) {
  const auto role = shape.separate_metadata ? device_role::metadata : device_role::combined;
  const auto possible = decode_superblock(
      encode_superblock({shape, static_cast<std::uint8_t>(role), format_state::in_progress}));
  if (!possible) return fail(errc::invalid, "dump: geometry: " + possible.error().text);
  return {};
}

// Where everything goes on these devices. The chunks stay where the dump says.
result<geometry> plan_restore(const dump_head &head, const store_devices &to, const unique_id &store) {
  geometry shape = head.shape;
  if (auto done = check_possible(shape); !done) return done.error();
  const std::uint64_t end = shape.chunks_offset_bytes + shape.chunk_count * shape.chunk_bytes;
  if (to.data.size_bytes() < end)
    return fail(errc::invalid, "the device of the chunks has " + std::to_string(to.data.size_bytes()) +
                                   " bytes, the dump's store needs " + std::to_string(end));
  shape.store = store;
  ++shape.restore_generation;
  if (to.separate()) {
    format_request request;
    request.chunk_bytes = shape.chunk_bytes;
    request.node_count = shape.node_count;
    const auto planned = plan_geometry(request, end, to.metadata.size_bytes());
    if (!planned) return planned;
    shape.separate_metadata = true;
    shape.slots_offset_bytes = planned->slots_offset_bytes;
    shape.logs_offset_bytes = planned->logs_offset_bytes;
    shape.log_blocks = planned->log_blocks;
    shape.pages_offset_bytes = planned->pages_offset_bytes;
    shape.page_count = planned->page_count;
    if (auto done = check_possible(shape); !done) return done.error();
  } else if (shape.separate_metadata) {
    return fail(errc::invalid, "the dump is of a store with separate metadata: name a device for it");
  }
  return shape;
}

}  // namespace

result<geometry> restore_store(block_device &data, block_device *metadata, const restore_request &request,
                               const dump_source &source) {
  const store_devices to{data, metadata ? *metadata : data};
  json_scanner in(source);
  const dump_head head = read_dump_head(in);
  if (!in.ok()) return in.why();
  const auto shape = plan_restore(head, to, request.store);
  if (!shape) return shape;
  if (auto done = write_superblocks(to, *shape, format_state::in_progress); !done) return done.error();
  if (auto done = write_initial_slots(to.metadata, *shape); !done) return done.error();
  if (auto done = restoration(to.metadata, *shape, head, request, in).run(); !done) return done.error();
  if (auto done = write_superblocks(to, *shape, format_state::ready); !done) return done.error();
  return shape;
}

}  // namespace csnap::store
