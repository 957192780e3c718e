// SPDX-License-Identifier: BSD-3-Clause
//
// A dump is the whole: what is restored from it reads the same, checks clean, and dumps the same again. What is
// not such a dump is refused, with its line.
#include "tests/unit/store/offline_sample.h"

#include "metaserver/store/slot_blocks.h"
#include "tests/support/store_model.h"

#include <algorithm>

namespace csnap::test {

using namespace store;

namespace {

std::string dump_of(block_device &metadata) {
  std::string text;
  const auto done = dump_store(metadata, [&](std::string_view piece) { text += piece; });
  INFO(done);
  REQUIRE(done);
  return text;
}

restore_request request_for(std::uint8_t id) {
  restore_request request;
  request.store.bytes.fill(std::byte{id});
  request.draw = [] { return unique_id{{std::byte{0x77}}}; };
  return request;
}

result<geometry> restore(block_device &data, block_device *metadata, const std::string &text,
                         std::size_t piece = 1000) {
  std::size_t at = 0;
  return restore_store(data, metadata, request_for(9), [&](std::span<char> into) -> result<std::size_t> {
    const std::size_t size = std::min({piece, into.size(), text.size() - at});
    std::copy_n(text.begin() + static_cast<std::ptrdiff_t>(at), size, into.begin());
    at += size;
    return size;
  });
}

// What two dumps of one state have in common.
std::string contents(const std::string &text) { return text.substr(text.find("\"settings\"")); }

std::unique_ptr<sample_device> served_sample() {
  auto device = formatted_sample();
  auto e = engine::take_over(*device, {});
  REQUIRE(e);
  fill_sample(**e);
  run_log(**e, *device);
  return device;
}

void check_clean(block_device &metadata) {
  const auto report = check_store(metadata);
  for (const auto &line : report.errors) FAIL_CHECK(line);
  CHECK(report.ok());
}

}  // namespace

TEST_CASE("restore: onto another device, in place, and onto separate metadata, all reads the same") {
  auto old = served_sample();
  const std::string text = dump_of(*old);
  const geometry before = read_label(*old)->shape;
  sample_device other(sample_bytes), metadata(8 << 20);
  // Damaged beyond repair, with the chunks whole.
  std::fill_n(old->content.begin(), before.chunks_offset_bytes, std::byte{0xa5});
  std::fill(old->content.begin() + static_cast<std::ptrdiff_t>(before.chunks_offset_bytes),
            old->content.end(), std::byte{0xcc});
  const auto chunks = std::vector<std::byte>(
      old->content.begin() + static_cast<std::ptrdiff_t>(before.chunks_offset_bytes), old->content.end());
  for (auto *device : {&other, old.get()}) {
    const auto made = restore(*device, nullptr, text, device == &other ? 1 : 100000);
    INFO(made);
    REQUIRE(made);
    CHECK(made->restore_generation == before.restore_generation + 1);
    CHECK(made->store != before.store);
    CHECK(made->chunks_offset_bytes == before.chunks_offset_bytes);
    check_clean(*device);
    CHECK(contents(dump_of(*device)) == contents(text));
  }
  CHECK(std::equal(chunks.begin(), chunks.end(),
                   old->content.begin() + static_cast<std::ptrdiff_t>(before.chunks_offset_bytes)));
  const auto made = restore(*old, &metadata, text);
  INFO(made);
  REQUIRE(made);
  check_clean(metadata);
  CHECK(read_label(*old)->role == device_role::data);
  CHECK(read_label(*old)->shape == read_label(metadata)->shape);
  CHECK(contents(dump_of(metadata)) == contents(text));
  CHECK(std::equal(chunks.begin(), chunks.end(),
                   old->content.begin() + static_cast<std::ptrdiff_t>(before.chunks_offset_bytes)));
}

TEST_CASE("restore: a server goes on from it, under a higher term, and no session can be resumed") {
  auto old = served_sample();
  const std::string text = dump_of(*old);
  const auto last = engine::open_read_only(*old, 1 << 20);
  REQUIRE(restore(*old, nullptr, text));
  engine_options o;
  o.predecessors_dead = false;
  auto e = engine::take_over(*old, o);
  INFO(e);
  REQUIRE(e);
  CHECK((*e)->term().counter > (*last)->term().counter + 1000);
  CHECK((*e)->last_appended() == (*last)->last_appended());
  CHECK((*e)->sessions().at(session_id{1}).secret == unique_id{{std::byte{0x77}}});
  CHECK((*e)->exceptions_of(volume_id{1}) == 40);
  CHECK((*e)->append(snapshots_created{{}, snapshot_number{3}, 13, 1, 0, {{volume_id{1}, "three"}}}));
  run_log(**e, *old);
  check_clean(*old);
}

TEST_CASE("restore: any history comes back") {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    memory_device device(tiny_store_bytes);
    make_tiny_store(device);
    record_source source(seed, 5000);
    auto e = engine::take_over(device, {});
    REQUIRE(e);
    for (int i = 0; i < 400; ++i) {
      if (!(*e)->has_room()) REQUIRE(run_checkpoint(**e, device));
      const auto done = (*e)->append(source.next(**e));
      if (!done) REQUIRE(done.error().code == errc::no_space);
    }
    REQUIRE(run_log_batch(**e, device));
    const std::string text = dump_of(device);
    // The tiny store's metadata is separate; its data device is never touched but for the superblocks.
    class large_device final : public block_device {
     public:
      std::uint64_t size_bytes() const override { return std::uint64_t{1} << 40; }
      result<> read(std::uint64_t, std::span<std::byte> into) override {
        std::fill(into.begin(), into.end(), std::byte{0});
        return {};
      }
      result<> write(std::uint64_t offset, std::span<const std::byte> from, durability) override {
        REQUIRE(offset + from.size() <= 2 * block_bytes);
        return {};
      }
      result<> zero(std::uint64_t, std::uint64_t, bool, durability) override { return {}; }
      result<> trim(std::uint64_t, std::uint64_t) override { return {}; }
      result<> flush() override { return {}; }
    } data;
    memory_device metadata(8 << 20);
    const auto made = restore(data, &metadata, text);
    INFO(made);
    REQUIRE(made);
    check_clean(metadata);
    CHECK(contents(dump_of(metadata)) == contents(text));
  }
}

TEST_CASE("restore: a crash at any write leaves a store that says that it is not finished") {
  const std::string text = dump_of(*served_sample());
  sample_device counted(sample_bytes);
  REQUIRE(restore(counted, nullptr, text));
  for (std::uint64_t stop = 0; stop < counted.writes; ++stop) {
    sample_device device(sample_bytes);
    device.fail_after = stop;
    CHECK_FALSE(restore(device, nullptr, text));
    device.fail_after = ~std::uint64_t{0};
    // Only when the last superblock is being written may it look whole; and then it is.
    if (read_label(device)) {
      CHECK(stop + 2 >= counted.writes);
      CHECK(engine::open_read_only(device, 1 << 20));
    }
  }
}

TEST_CASE("restore: what is no dump is refused, with its line") {
  const std::string text = dump_of(*served_sample());
  const auto refusal = [&](const std::string &from, const std::string &to) {
    std::string changed = text;
    const auto at = changed.find(from);
    REQUIRE(at != std::string::npos);
    changed.replace(at, from.size(), to);
    sample_device device(sample_bytes);
    const auto done = restore(device, nullptr, changed);
    REQUIRE_FALSE(done);
    CHECK(done.error().code == errc::invalid);
    CHECK_FALSE(read_label(device));
    return done.error().text;
  };
  CHECK(refusal("csnap-dump", "other") == "dump, line 1: expected \"csnap-dump\", found \"other\"");
  CHECK(refusal("\"version\":2", "\"version\":1").find("line 1: expected version 2, found 1") !=
        std::string::npos);
  CHECK(refusal("\"name\":\"disk\"", "\"name\":\"a..b\"").find("name") != std::string::npos);
  CHECK(refusal("\"name\":\"small\"", "\"name\":\"disk\"").find("taken") != std::string::npos);
  CHECK(refusal("\"state\":\"live\"", "\"state\":\"sick\"").find("sick") != std::string::npos);
  CHECK(refusal("[0,1,3]", "[0,1,4]").find("second owner") != std::string::npos);
  CHECK(refusal("[0,1,3]", "[0,1,999999]").find("store chunk") != std::string::npos);
  CHECK(refusal("[0,1,3]", "[0,1,99999999999999999999]").find("at most") != std::string::npos);
  CHECK(refusal("[7,1,4]", "[0,1,4]").find("ascending") != std::string::npos);
  CHECK(refusal("[0,1,3],\n", "").find("free chunks") != std::string::npos);
  CHECK(refusal("\"exceptions\":40", "\"exceptions\":41").find("expected 41 exceptions") !=
        std::string::npos);
  CHECK(refusal("\"reserved\":\"", "\"reserved\":\"2").find("chunks") != std::string::npos);
  CHECK(refusal("\"chunk_bytes\":65536", "\"chunk_bytes\":65537").find("chunk size") != std::string::npos);
  CHECK(refusal("\"chunk_count\":", "\"chunk_count\":9").find("bytes") != std::string::npos);
  CHECK(refusal("}\n", "}\nx").find("the end") != std::string::npos);
  for (std::size_t length = 0; length + 2 < text.size(); length += 97) {
    sample_device device(sample_bytes);
    CHECK_FALSE(restore(device, nullptr, text.substr(0, length)));
    CHECK_FALSE(read_label(device));
  }
  sample_device small(8 << 20);
  CHECK(restore(small, nullptr, text).error().text.find("needs") != std::string::npos);
}

}  // namespace csnap::test
