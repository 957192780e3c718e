// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/device/nbd_device.h"

#include "metaserver/device/aligned_device.h"
#include "metaserver/device/positioned_io.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace csnap {

namespace {

// While the server is away, requests fail at once for this long after each attempt instead of queueing up for
// one connection timeout each.
constexpr auto retry_pause = std::chrono::seconds(1);

// Counts a write as in flight, and after that as not flushed.
class open_write {
 public:
  explicit open_write(unflushed_writes &writes) : writes_(writes) { writes_.begin(); }
  ~open_write() { writes_.end(); }
  open_write(const open_write &) = delete;
  open_write &operator=(const open_write &) = delete;

 private:
  unflushed_writes &writes_;
};

}  // namespace

result<nbd_device::connection> nbd_device::connect() {
  std::lock_guard lock(mutex_);
  if (current_ && current_->is_usable()) return current_;
  if (current_) {
    if (current_->writes.any())
      flushes_.fail_for_good(
          fail(errc::io, uri_ + ": the connection was lost with writes that no flush covered"));
    // After a fork the parent still uses its own end: leave libnbd's state alone, do not even close it.
    if (current_->belongs_to_other_process()) new connection(current_);
    current_.reset();
  }
  const auto now = std::chrono::steady_clock::now();
  if (now < retry_after_) return fail(errc::io, uri_ + ": not connected");
  auto fresh = nbd_connection::connect(uri_);
  if (fresh && (*fresh)->can().size_bytes != size_bytes_)
    fresh = fail(errc::io, uri_ + ": the export has another size than before");
  if (!fresh) {
    retry_after_ = std::chrono::steady_clock::now() + retry_pause;
    return fresh.error();
  }
  current_ = *fresh;
  return current_;
}

result<> nbd_device::failed(const char *verb, std::uint64_t offset, int number) const {
  return transfer_error_at(uri_ + ": " + verb + " at byte " + std::to_string(offset), number);
}

result<> nbd_device::read(std::uint64_t offset, std::span<std::byte> into) {
  if (auto r = check_range(*this, offset, into.size()); !r) return r;
  auto link = connect();
  if (!link) return link.error();
  while (!into.empty()) {
    const auto piece = into.first(std::min<std::size_t>(into.size(), (*link)->can().request_bytes));
    const int number = (*link)->run([&](nbd_handle *handle, nbd_completion_callback done) {
      return nbd_aio_pread(handle, piece.data(), piece.size(), offset, done, 0);
    });
    if (number != 0) return failed("read", offset, number);
    into = into.subspan(piece.size());
    offset += piece.size();
  }
  return {};
}

result<> nbd_device::write(std::uint64_t offset, std::span<const std::byte> from, durability how) {
  if (auto r = check_range(*this, offset, from.size()); !r) return r;
  auto link = connect();
  if (!link) return link.error();
  const bool with_fua = how == durability::durable && (*link)->can().can_fua;
  {
    std::optional<open_write> counted;
    if (!with_fua) counted.emplace((*link)->writes);
    while (!from.empty()) {
      const auto piece = from.first(std::min<std::size_t>(from.size(), (*link)->can().request_bytes));
      const int number = (*link)->run([&](nbd_handle *handle, nbd_completion_callback done) {
        return nbd_aio_pwrite(handle, piece.data(), piece.size(), offset, done,
                              with_fua ? LIBNBD_CMD_FLAG_FUA : 0);
      });
      if (number != 0) return failed("write", offset, number);
      from = from.subspan(piece.size());
      offset += piece.size();
    }
  }
  return how == durability::durable && !with_fua ? flush() : result<>();
}

result<> nbd_device::zero(std::uint64_t offset, std::uint64_t length, bool may_unmap, durability how) {
  if (auto r = check_range(*this, offset, length); !r) return r;
  auto link = connect();
  if (!link) return link.error();
  if (!(*link)->can().can_zero) return write_zeroes(*this, offset, length, how);
  {
    const open_write counted((*link)->writes);
    while (length > 0) {
      const auto count = std::min<std::uint64_t>(length, (*link)->can().request_bytes);
      const int number = (*link)->run([&](nbd_handle *handle, nbd_completion_callback done) {
        return nbd_aio_zero(handle, count, offset, done, may_unmap ? 0 : LIBNBD_CMD_FLAG_NO_HOLE);
      });
      if (number != 0) return failed("zero", offset, number);
      offset += count;
      length -= count;
    }
  }
  return how == durability::durable ? flush() : result<>();
}

// NBD's own trim leaves the content undefined. Zeroing that the server says is quick is what we want; where
// it is not quick, nothing is done.
result<> nbd_device::trim(std::uint64_t offset, std::uint64_t length) {
  if (auto r = check_range(*this, offset, length); !r) return r;
  auto link = connect();
  if (!link) return link.error();
  if (!(*link)->can().can_zero || !(*link)->can().can_fast_zero) return {};
  const open_write counted((*link)->writes);
  while (length > 0) {
    const auto count = std::min<std::uint64_t>(length, (*link)->can().request_bytes);
    const int number = (*link)->run([&](nbd_handle *handle, nbd_completion_callback done) {
      return nbd_aio_zero(handle, count, offset, done, LIBNBD_CMD_FLAG_FAST_ZERO);
    });
    if (number == EOPNOTSUPP) return {};
    if (number != 0) return failed("trim", offset, number);
    offset += count;
    length -= count;
  }
  return {};
}

result<> nbd_device::flush() {
  return flushes_.flush([this]() -> result<> {
    auto link = connect();
    if (!link) return link.error();
    if (!(*link)->can().can_flush) return {};  // opened read-only: there is nothing to flush
    const auto mark = (*link)->writes.mark();
    const int number = (*link)->run(
        [](nbd_handle *handle, nbd_completion_callback done) { return nbd_aio_flush(handle, done, 0); });
    if (number != 0) return failed("flush", 0, number);
    if (mark) (*link)->writes.flushed(*mark);
    return {};
  });
}

result<std::unique_ptr<opened_device>> open_nbd_device(const std::string &uri, open_mode mode) {
  auto first = nbd_connection::connect(uri);
  if (!first) return first.error();
  const nbd_connection::abilities can = (*first)->can();
  if (!mode.read_only && can.is_read_only) return fail(errc::refused, uri + ": the export is read-only");
  if (!mode.read_only && !can.can_flush)
    return fail(errc::unsupported,
                uri + ": the server offers no flush, so that nothing could be made durable");
  if (can.size_bytes % can.block_bytes != 0)
    return fail(errc::unsupported, uri + ": the size of the export is not a multiple of its smallest block");
  auto device = std::make_unique<nbd_device>(uri, std::move(*first));
  if (can.block_bytes == 1) return device;
  return std::make_unique<aligned_device>(std::move(device), alignment{can.block_bytes, 1});
}

}  // namespace csnap
