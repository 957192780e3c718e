// SPDX-License-Identifier: BSD-3-Clause
//
// The server's state machine, fed what up to four connections send, in any order. The input is messages: u8 flags
// (bits 0-1 connection, 2 no request id, 3 a second passes, 4 ten seconds pass, 5 the connection was lost before,
// 6 records stay undurable, 7 a process died), u8 type, u16 length, payload. Whoever breaks the protocol is hung
// up on; nothing a client says may stop the server or damage the store.
#include "tests/fuzz/fuzz_target.h"

#include "metaserver/base/byte_reader.h"
#include "metaserver/base/check.h"
#include "metaserver/base/crc32c.h"
#include "metaserver/core/server_core.h"
#include "metaserver/store/offline.h"
#include "metaserver/wire/frame.h"
#include "tests/support/store_model.h"

#include <algorithm>
#include <array>
#include <memory>

using namespace csnap;
using namespace csnap::test;

namespace {

std::vector<std::byte> frame_of(std::uint8_t type, std::uint64_t request,
                                std::span<const std::byte> payload) {
  std::vector<std::byte> frame(wire::frame_header_bytes + payload.size());
  const auto put = [&](std::size_t at, std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) frame[at + i] = static_cast<std::byte>(value >> (8 * i));
  };
  put(0, wire::frame_magic, 4);
  put(4, wire::protocol_version, 2);
  put(6, type, 2);
  put(8, payload.size(), 4);
  put(16, request, 8);
  std::copy(payload.begin(), payload.end(), frame.begin() + wire::frame_header_bytes);
  put(12, crc32c(frame), 4);
  return frame;
}

memory_device formatted_device() {
  memory_device device(std::uint64_t{9} << 20);
  store::format_request request;
  request.store.bytes.fill(std::byte{1});
  request.chunk_bytes = 4096;
  request.node_count = 2;
  request.origins = {{"a", "/dev/a", 300 * 4096}, {"b", "/dev/b", 300 * 4096}};
  check(store::format_store(device, nullptr, request).has_value(), "format");
  device.settle();
  return device;
}

class fuzzed_server {
 public:
  fuzzed_server() {
    auto opened = store::engine::take_over(device_, {});
    check(opened.has_value(), "takeover");
    engine_ = std::move(*opened);
    core::core_options options;
    options.random = [this] { return ++random_ * 0x9e3779b97f4a7c15u; };
    options.unix_ms = [] { return std::int64_t{1700000000000}; };
    core_ = std::make_unique<core::server_core>(*engine_, options, now_);
  }

  void step(std::uint8_t flags, std::uint8_t type, std::span<const std::byte> payload) {
    if (flags & 8) now_.value += 1000;
    if (flags & 16) now_.value += 10000;
    room();
    core_->tick(now_);
    auto &connection = connections_[flags & 3];
    if (flags & 32) lose(connection);
    if (flags & 128) core_->session_died(session_id{1u + (flags & 3)}, now_);
    if (connection.value == 0) connection = core::connection_id{++last_connection_};
    const auto decoded = wire::decode_frame(frame_of(type, flags & 4 ? 0 : ++request_, payload));
    room();
    if (decoded) core_->handle_message(connection, *decoded, now_);
    settle(!(flags & 64));
  }
  void finish() {
    settle(true);
    check(run_checkpoint(*engine_, device_).has_value(), "checkpoint");
    const auto report = store::check_store(device_);
    check(report.ok(), report.ok() ? "" : report.errors.front().c_str());
  }

 private:
  void lose(core::connection_id &connection) {
    if (connection.value != 0) core_->connection_lost(connection, now_);
    connection = {};
  }
  void room() {
    if (engine_->has_room()) return;
    check(run_checkpoint(*engine_, device_).has_value(), "checkpoint");
    core_->records_durable(engine_->last_durable(), now_);
  }
  void settle(bool durable) {
    for (int round = 0; round < 4; ++round) {
      for (const core::output &out : core_->take_outputs()) {
        check(!std::holds_alternative<core::stop_serving>(out), "a client stopped the server");
        if (const auto *send = std::get_if<core::send>(&out)) (void)wire::encode_frame(send->what);
        if (const auto *end = std::get_if<core::hang_up>(&out))
          for (auto &connection : connections_)
            if (connection == end->who) lose(connection);
      }
      if (!durable) return;
      check(run_log_batch(*engine_, device_).has_value(), "log");
      core_->records_durable(engine_->last_durable(), now_);
    }
  }

  static const memory_device &fresh_device() {
    static const memory_device fresh = formatted_device();
    return fresh;
  }
  memory_device device_ = fresh_device();
  boottime_ms now_{1000000};
  std::uint64_t random_ = 0, request_ = 0, last_connection_ = 0;
  std::unique_ptr<store::engine> engine_;
  std::unique_ptr<core::server_core> core_;
  std::array<core::connection_id, 4> connections_{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  byte_reader in(std::as_bytes(std::span(data, size)));
  fuzzed_server server;
  for (int messages = 0; messages < 100 && in.remaining() >= 4; ++messages) {
    const std::uint8_t flags = in.u8(), type = in.u8();
    const auto payload = in.take(std::min<std::size_t>(in.u16(), in.remaining()));
    server.step(flags, type, payload);
  }
  server.finish();
  return 0;
}
