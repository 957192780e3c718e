// SPDX-License-Identifier: BSD-3-Clause
//
// The thread that answers barriers: when every volume of a barrier is frozen with nothing in flight, it
// flushes their origins and says so. A thread of its own, since a flush may take long, and neither the
// network thread (which must go on with renewals and recalls) nor a client's request may wait for it.
#pragma once

#include "metaserver/client/client_machine.h"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace csnap::plugin {

class barrier_drain {
 public:
  using drain = client::client_machine::drain;
  struct hooks {
    std::function<std::vector<drain>()> take_drains;
    std::function<result<>(volume_id)> flush_origin;
    std::function<void(barrier_id)> drained;
    std::function<void(const std::string &)> log;
  };

  ~barrier_drain() { stop(); }
  void start(hooks h);  // after the last fork
  void stop();
  // Cheap, and never blocks for I/O: from the network thread, and from a request that just ended.
  void look_again();
  void add(std::vector<drain> drains);

 private:
  void work();
  void flush_and_answer(const drain &what);

  hooks hooks_;
  std::mutex mutex_;
  std::condition_variable wakes_;
  std::vector<drain> drains_;  // at most one for each barrier that is on
  bool look_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace csnap::plugin
