// SPDX-License-Identifier: BSD-3-Clause
//
// What to do on which event while a device is attached: when to connect again, when to give a device back, when to end,
// and what to tell people. Knows no kernel, socket or clock; the supervisor does what it says.
#pragma once

#include "metaserver/attach/export_facts.h"
#include "metaserver/base/result.h"

#include <chrono>
#include <functional>
#include <string>

namespace csnap::attach {

class link_keeper {
 public:
  using ms = std::chrono::milliseconds;  // since any moment
  using say = std::function<void(const std::string &line)>;
  enum class deed {
    wait,        // until due()
    connect,     // try; then tell connected() or not_connected()
    disconnect,  // give the device back, and end
    end,
  };

  // Attached, and alive, from now on. dead_timeout 0: the kernel fails I/O as soon as a link is dead.
  link_keeper(export_facts attached, ms dead_timeout, ms now, say tell);

  deed next(ms now);
  ms due() const;  // when next() says something else by itself

  void link_died(ms now);
  // A server answered. Errors: refused, it does not go on with that export: as not_connected().
  result<> may_go_on(const export_facts &now_served, ms now);
  void connected(ms now);
  void not_connected(const std::string &why, ms now);

  // user: who uses the device, or nothing. A device in use is not taken from under its filesystem.
  void asked_to_end(const std::string &user);
  void device_gone();

 private:
  enum class state { steady, broken, leaving, ended };

  const export_facts attached_;
  const ms dead_timeout_;
  const say tell_;
  state state_ = state::steady;
  bool io_fails_told_ = false;
  std::string told_;  // the last complaint: each is told once
  ms broken_since_{0};
  ms alive_since_{0};
  ms pause_{0};
  ms try_at_{0};
};

}  // namespace csnap::attach
