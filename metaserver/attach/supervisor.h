// SPDX-License-Identifier: BSD-3-Clause
//
// Attaches an export as a device of the kernel, and watches over it: a server that comes back gets the device back.
#pragma once

#include "metaserver/attach/attach_record.h"
#include "metaserver/attach/export_facts.h"
#include "metaserver/attach/kernel_nbd.h"
#include "metaserver/attach/link_keeper.h"
#include "metaserver/attach/nbd_handshake.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace csnap::attach {

struct attach_order {
  nbd_place place;
  std::optional<std::uint32_t> index;
  std::uint32_t connections = 1;
  std::uint32_t timeout_seconds = 0;
  std::uint32_t dead_timeout_seconds = 600;
  std::uint32_t block_bytes = 512;
  bool read_only = false;
};

inline constexpr std::uint32_t connections_max = 16;

// SIGTERM and SIGINT ask it to end, SIGUSR1 says that the device was detached: they come as something to read.
class supervisor_signals {
 public:
  supervisor_signals();
  int fd() const { return fd_.get(); }
  int take() const;  // 0: none

 private:
  owned_fd fd_;
};

class supervisor {
 public:
  // The device is usable when this returns. One that is attached to the same export, but has lost its supervisor, is
  // taken over. Errors: as of what is done, one line each.
  static result<supervisor> attach(const attach_order &order, const supervisor_signals &signals);

  std::uint32_t index() const { return index_; }
  const export_facts &facts() const { return facts_; }

  // Until the device is detached.
  result<> watch(const supervisor_signals &signals, link_keeper::say tell);

 private:
  supervisor(attach_order order, kernel_nbd kernel, link_news news)
      : order_(std::move(order)), kernel_(std::move(kernel)), news_(std::move(news)) {}

  static result<std::vector<negotiated>> open_connections(const attach_order &order,
                                                          std::chrono::milliseconds patience, int stop_fd);
  result<> set_up(const std::vector<negotiated> &connections, const attach_records &records);
  result<std::optional<std::uint32_t>> find_orphan(const attach_records &records) const;
  std::string source() const;
  result<> take_over(std::uint32_t index, const std::vector<negotiated> &connections,
                     const attach_records &records);
  void connect_again(link_keeper &keeper, const supervisor_signals &signals);
  void obey(link_keeper &keeper, int signal) const;

  attach_order order_;
  kernel_nbd kernel_;
  link_news news_;
  std::uint32_t index_ = 0;
  export_facts facts_;
  std::string attached_by_;  // another word here: the device is somebody else's now
  owned_fd record_;
};

}  // namespace csnap::attach
