// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/log_reader.h"

#include "metaserver/base/byte_reader.h"
#include "metaserver/store/block.h"
#include "metaserver/store/log_writer.h"

#include <algorithm>
#include <optional>

namespace csnap::store {
namespace {

constexpr std::uint64_t blocks_per_read = 64;
constexpr std::size_t record_header_bytes = 8;

// What a block of our term at its place says.
struct log_block {
  std::uint64_t sequence{}, batch_number{}, first_record{};
  std::uint32_t previous_checksum{}, index_in_batch{}, flags{}, checksum{};
  std::span<const std::byte> data;
};

class log_scan {
 public:
  log_scan(const geometry &shape, const root &r, const record_receiver &receive,
           const planted_mistakes &planted)
      : shape_(shape), root_(r), receive_(receive), planted_(planted), batch_begin_(r.log_sequence) {}

  result<> block(std::uint64_t sequence, std::uint64_t number, std::span<const std::byte> bytes) {
    const auto found = parse(sequence, number, bytes);
    if (ended_) {
      if (found && sequence - found->index_in_batch > batch_begin_ && !planted_.tail_hides_corruption)
        return fail(errc::corrupt, "block " + std::to_string(gap_block_) + ": log block " +
                                       std::to_string(gap_sequence_) + " is damaged, and block " +
                                       std::to_string(number) + " proves that it had been complete");
      return {};
    }
    if (!found) {
      ended_ = true;
      gap_block_ = number;
      gap_sequence_ = sequence;
      return {};
    }
    return accept(*found, number);
  }

 private:
  std::optional<log_block> parse(std::uint64_t sequence, std::uint64_t number,
                                 std::span<const std::byte> bytes) {
    const auto header = open_block(bytes, block_type::log, number, shape_.store, planted_);
    if (!header || header->term != root_.term || header->sequence != sequence) return std::nullopt;
    byte_reader in(payload_of(bytes, *header));
    log_block b;
    b.sequence = sequence;
    b.batch_number = in.u64();
    b.first_record = in.u64();
    b.previous_checksum = in.u32();
    b.index_in_batch = in.u32();
    b.flags = header->detail;
    b.checksum = stored_checksum(bytes);
    b.data = in.take(in.remaining());
    if (!in.ok() || b.index_in_batch > sequence) return std::nullopt;
    return b;
  }

  // A block with a right checksum, of our term, at its place, that does not follow from the one before it
  // is no torn tail.
  result<> accept(const log_block &b, std::uint64_t number) {
    const bool first = b.sequence == batch_begin_;
    if (b.index_in_batch != b.sequence - batch_begin_ || ((b.flags & log_first_of_batch) != 0) != first)
      return damaged(number, "index in its batch", b.sequence - batch_begin_, b.index_in_batch);
    const std::uint64_t expected = first ? batch_number_ + 1 : batch_number_;
    if (any_block_ && b.batch_number != expected) return damaged(number, "batch", expected, b.batch_number);
    if (any_block_ && b.previous_checksum != checksum_)
      return damaged(number, "checksum of the block before", checksum_, b.previous_checksum);
    batch_number_ = b.batch_number;
    checksum_ = b.checksum;
    any_block_ = true;
    if (first) {
      batch_record_ = b.first_record;
      if (batch_record_ == 0 ||
          (next_record_ == 0 ? batch_record_ > root_.covers.value + 1 : batch_record_ != next_record_))
        return damaged(number, "first record", next_record_ == 0 ? root_.covers.value + 1 : next_record_,
                       batch_record_);
    }
    batch_.insert(batch_.end(), b.data.begin(), b.data.end());
    if ((b.flags & log_last_of_batch) == 0) return {};
    batch_begin_ = b.sequence + 1;
    return deliver(number);
  }

  result<> deliver(std::uint64_t number) {
    byte_reader in(batch_);
    next_record_ = batch_record_;
    for (std::size_t at = 0; in.remaining() > 0;) {
      byte_reader header{std::span<const std::byte>(batch_).subspan(at)};
      header.u32();
      const std::size_t size = record_header_bytes + std::size_t{header.u32()};
      const auto bytes = in.take(size);
      if (!header.ok() || !in.ok()) return damaged(number, "record size at most", batch_.size() - at, size);
      at += size;
      const record_seq seq{next_record_++};
      if (seq <= root_.covers) continue;
      if (auto done = receive_(seq, bytes); !done) return done;
    }
    batch_.clear();
    return {};
  }

  const geometry &shape_;
  const root &root_;
  const record_receiver &receive_;
  const planted_mistakes planted_;
  std::uint64_t batch_begin_;  // sequence of the first block of the batch being read
  std::uint64_t batch_number_ = 0, batch_record_ = 0, next_record_ = 0;
  std::uint32_t checksum_ = 0;
  bool any_block_ = false, ended_ = false;
  std::uint64_t gap_block_ = 0, gap_sequence_ = 0;
  std::vector<std::byte> batch_;
};

}  // namespace

result<> read_log(block_device &device, const geometry &shape, const root &r, const record_receiver &receive,
                  const planted_mistakes &planted) {
  log_scan scan(shape, r, receive, planted);
  const std::uint64_t area = shape.logs_offset_bytes / block_bytes + r.term.node * shape.log_blocks;
  std::vector<std::byte> buffer(blocks_per_read * block_bytes);
  for (std::uint64_t done = 0; done < shape.log_blocks;) {
    const std::uint64_t first = r.log_sequence + done, index = first % shape.log_blocks;
    const std::uint64_t count =
        std::min({blocks_per_read, shape.log_blocks - done, shape.log_blocks - index});
    const auto bytes = std::span(buffer).first(count * block_bytes);
    if (auto read = device.read((area + index) * block_bytes, bytes); !read) return read;
    for (std::uint64_t i = 0; i < count; ++i)
      if (auto ok = scan.block(first + i, area + index + i, bytes.subspan(i * block_bytes, block_bytes)); !ok)
        return ok;
    done += count;
  }
  return {};
}

}  // namespace csnap::store
