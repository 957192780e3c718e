// SPDX-License-Identifier: BSD-3-Clause
//
// What a service tells systemd (sd_notify): that it is ready, in one line what it is doing, that it stops, and, as
// often as the unit's WatchdogSec= asks, that its one thread goes on. Does nothing where nobody listens.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <functional>
#include <string>

namespace csnap::service {

class service_notice {
 public:
  // Looks at the status once a second, and tells it when it has changed.
  service_notice(boost::asio::io_context &io, std::function<std::string()> status);
  void ready();
  void stopping();

 private:
  void tell_every_second();

  boost::asio::steady_timer timer_;
  const std::function<std::string()> status_;
  std::string told_;
  bool is_watched_ = false;
};

}  // namespace csnap::service
