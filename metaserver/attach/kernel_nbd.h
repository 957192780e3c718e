// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel's NBD client, told by generic netlink (linux/nbd-netlink.h) what to do; and its news of connections that
// died.
#pragma once

#include "metaserver/attach/export_facts.h"
#include "metaserver/base/result.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

struct nl_sock;

namespace csnap::attach {

struct device_request {
  std::optional<std::uint32_t> index;  // none: any that is free
  export_facts facts;
  std::string identifier;  // kept by the kernel, which reconnects only who names it again
  std::uint32_t block_bytes = 512;
  std::uint32_t timeout_seconds = 0;  // of a request; 0: none while its connection lives
  std::uint32_t dead_timeout_seconds = 0;
};

class kernel_nbd {
 public:
  // Errors: not_found (no nbd module), io.
  static result<kernel_nbd> open();

  // The device's number. Errors: busy, refused (no right), io.
  result<std::uint32_t> connect(const device_request &what, std::span<const int> sockets);
  // Replaces connections that died; sockets that are not needed the kernel closes. Errors: gone (not connected, or
  // as something else), io.
  result<> reconnect(std::uint32_t index, const std::string &identifier, std::span<const int> sockets);
  // Errors: gone, io.
  result<> disconnect(std::uint32_t index);

 private:
  using socket_ptr = std::unique_ptr<nl_sock, void (*)(nl_sock *)>;
  kernel_nbd(socket_ptr socket, int family) : socket_(std::move(socket)), family_(family) {}

  socket_ptr socket_;
  int family_;
};

// Must be there before the connection is, or its death may be missed.
class link_news {
 public:
  static result<link_news> open();

  int fd() const;
  // Takes all news that are there. True: a connection of that device died, or news were lost.
  bool take(std::uint32_t index);

 private:
  using socket_ptr = std::unique_ptr<nl_sock, void (*)(nl_sock *)>;
  explicit link_news(socket_ptr socket) : socket_(std::move(socket)) {}

  socket_ptr socket_;
};

}  // namespace csnap::attach
