// SPDX-License-Identifier: BSD-3-Clause
//
// Connections that carry bytes in order, with delays, in pieces cut anywhere, until one is lost - at any byte,
// and perhaps noticed by one side long before the other. A direction between two places can be cut: then bytes
// wait, as they do in a kernel that sends them again.
#pragma once

#include "tests/simulation/world.h"

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace csnap::simulation {

struct network_habits {
  nanoseconds latency_min = 20 * microsecond, latency_max = 300 * microsecond;
  unsigned slow_per_mille = 0;
  nanoseconds slow_max = 0;
  unsigned split_per_mille = 100;
  bool swaps_messages = false;  // planted: what is sent may overtake what was sent before
};

class network;

// One side of a connection. Its calls come from its process; what it calls runs in the process's mailbox.
class pipe_end : public std::enable_shared_from_this<pipe_end> {
 public:
  void send(std::vector<std::byte> bytes);
  void close();            // nothing is called any more
  void close_when_sent();  // the same, but the peer gets what was sent
  bool is_open() const { return open_; }

  std::function<void(std::span<const std::byte>)> on_bytes;
  std::function<void()> on_closed;  // the peer is gone, or the connection is lost

 private:
  friend class network;
  void deliver();
  void lose(nanoseconds delay);

  network *net_ = nullptr;
  process *owner_ = nullptr;
  mailbox *box_ = nullptr;
  std::string place_;  // of its owner: what cuts name
  std::weak_ptr<pipe_end> peer_;
  bool open_ = true;
  struct segment {
    nanoseconds ready;
    std::vector<std::byte> bytes;
    bool is_end;
  };
  std::deque<segment> arriving_;
  nanoseconds last_ready_ = 0;
};
using pipe_ptr = std::shared_ptr<pipe_end>;

class network {
 public:
  network(world &w, network_habits how) : world_(w), habits(how), chance_(w.stream("network")) {}

  struct listener {
    process *owner{};
    mailbox *box{};
    std::function<void(pipe_ptr)> accept;
  };
  void listen(const std::string &address, listener who) { listeners_[address] = std::move(who); }
  // `opened` or `failed` is called in the mailbox.
  void connect(process &from, mailbox &box, const std::string &place, const std::string &address,
               std::function<void(pipe_ptr)> opened, std::function<void()> failed);

  // Cuts from one place to another (an address is a place); both directions are two cuts.
  void cut(const std::string &from, const std::string &to) { cuts_.insert({from, to}); }
  // What is sent from one place to another takes so much longer, for as long as this is set; 0: no longer.
  void slow_down(const std::string &from, const std::string &to, nanoseconds by) { slow_[{from, to}] = by; }
  void heal() { cuts_.clear(), slow_.clear(); }
  void heal(const std::string &from, const std::string &to) { cuts_.erase({from, to}); }
  // Connections are lost, each with this chance; they may be in the middle of a message.
  void lose_some(unsigned per_mille);
  // All connections from this place.
  void lose_all_of(const std::string &place);

  unsigned lost_per_million = 0;  // of what is sent: the connection is lost somewhere in it

 private:
  friend class pipe_end;
  bool is_cut(const std::string &from, const std::string &to) const { return cuts_.contains({from, to}); }
  nanoseconds some_latency();
  nanoseconds latency(const std::string &from, const std::string &to) {
    const auto found = slow_.find({from, to});
    return some_latency() + (found == slow_.end() ? 0 : found->second);
  }
  void arrive_later(const pipe_ptr &at, nanoseconds delay);

  world &world_;

 public:
  network_habits habits;

 private:
  prng chance_;
  std::map<std::string, listener> listeners_;
  std::set<std::pair<std::string, std::string>> cuts_;
  std::map<std::pair<std::string, std::string>, nanoseconds> slow_;
  std::vector<std::weak_ptr<pipe_end>> ends_;
};

}  // namespace csnap::simulation
