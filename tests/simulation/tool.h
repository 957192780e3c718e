// SPDX-License-Identifier: BSD-3-Clause
//
// The administrator's tool: one connection, one request at a time, no session. As call_once() does, it tries
// the servers in turn, follows hints, and sends a request that was lost again with the same id.
#pragma once

#include "metaserver/client/client_machine.h"
#include "tests/simulation/frame_stream.h"
#include "tests/simulation/network.h"

#include <memory>
#include <string>
#include <vector>

namespace csnap::simulation {

class tool {
 public:
  tool(world &w, network &net, process &self, std::string place, std::vector<std::string> servers)
      : world_(w),
        net_(net),
        self_(self),
        place_(std::move(place)),
        servers_(std::move(servers)),
        box_(w, self) {}

  // By a fiber of the tool's process. Error shutting_down: `patience` is over; whether it was done is not known.
  // A `failed` answer becomes the error that it holds.
  result<client::answer> call(const wire::message &request, nanoseconds patience);
  bool new_id_each_time = false;  // planted: what is sent again is another request

 private:
  struct attempt;
  void begin(const std::shared_ptr<attempt> &a, const std::string &where);

  world &world_;
  network &net_;
  process &self_;
  const std::string place_;
  const std::vector<std::string> servers_;
  mailbox box_;
  std::size_t next_server_ = 0;
};

}  // namespace csnap::simulation
