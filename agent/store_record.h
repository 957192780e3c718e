// SPDX-License-Identifier: BSD-3-Clause
//
// The record that each master leaves on the store: the newest term and the address that it was claimed with. It
// is read only, when asked for, on a thread of its own: a device that hangs holds up nobody else. The device is
// opened anew each time, so it may come later than the agent, or be another one.
#pragma once

#include "agent/master_source.h"
#include "metaserver/base/result.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

namespace csnap::agent {

class store_record final : public master_source {
 public:
  // Which store is there, each time that it was read.
  using on_store = std::function<void(const unique_id &)>;
  store_record(boost::asio::io_context &io, std::string device, on_store seen)
      : io_(io), device_(std::move(device)), seen_(std::move(seen)), reader_(1) {}

  void start(on_heard heard) override { heard_ = std::move(heard); }
  void look() override;
  std::string trouble() const override { return trouble_; }

 private:
  struct record {
    unique_id store;
    master_at newest;
  };
  static result<record> read(const std::string &device);
  void has_read(const result<record> &what);

  boost::asio::io_context &io_;
  const std::string device_;
  const on_store seen_;
  on_heard heard_;
  bool is_reading_ = false;
  std::string trouble_;
  boost::asio::thread_pool reader_;
};

}  // namespace csnap::agent
