// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/election/corosync_election.h"

#include "metaserver/base/byte_reader.h"
#include "metaserver/base/byte_writer.h"
#include "metaserver/election/group_ranks.h"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <optional>
#include <span>
#include <utility>

#include <corosync/corotypes.h>
#include <corosync/cpg.h>
#include <corosync/quorum.h>
#include <unistd.h>

namespace csnap {
namespace {

using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds beat_interval{500};
constexpr std::int64_t silence_ms = 4000;
constexpr std::size_t address_bytes_max = 255;

enum class word : std::uint8_t { rank = 1, alive = 2, master = 3 };

std::int64_t now_ms() {
  return std::chrono::duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

// The library owns its descriptor and closes it.
class library_descriptor {
 public:
  library_descriptor(boost::asio::io_context &io, int fd) : stream_(io, ::dup(fd)) {}
  boost::asio::posix::stream_descriptor &stream() { return stream_; }

 private:
  boost::asio::posix::stream_descriptor stream_;
};

class corosync_election final : public election {
 public:
  corosync_election(boost::asio::io_context &io, const std::string &group);
  ~corosync_election() override;
  void acquire(events what_happens) override;
  void announce(const std::string &address, term_id term) override;
  void release() override;
  bool can_split() const override { return true; }

 private:
  class membership;
  std::unique_ptr<membership> membership_;
};

// One life of the connection to corosync. Single owner: the io_context's thread; the libraries call back from within
// their dispatch functions only.
class corosync_election::membership {
 public:
  membership(boost::asio::io_context &io, std::string group)
      : io_(io), group_(std::move(group)), timer_(io) {}
  ~membership() { leave(); }

  void begin(events what_happens) {
    events_ = std::move(what_happens);
    join_or_wait();
  }
  void end() {
    events_ = {};
    leave();
  }
  void announce(const std::string &address, term_id term) {
    address_ = address.substr(0, address_bytes_max);
    term_ = term;
    say_master();
  }

 private:
  static membership &of(cpg_handle_t handle) {
    void *context = nullptr;
    (void)::cpg_context_get(handle, &context);
    return *static_cast<membership *>(context);
  }
  static membership &of_quorum(quorum_handle_t handle) {
    const void *context = nullptr;
    (void)::quorum_context_get(handle, &context);
    return *static_cast<membership *>(const_cast<void *>(context));
  }
  static void on_message(cpg_handle_t handle, const cpg_name *, std::uint32_t node, std::uint32_t process,
                         void *bytes, std::size_t count) {
    of(handle).heard({node, process}, {static_cast<const std::byte *>(bytes), count});
  }
  static void on_view(cpg_handle_t handle, const cpg_name *, const cpg_address *members, std::size_t count,
                      const cpg_address *, std::size_t, const cpg_address *, std::size_t) {
    std::vector<group_member> who;
    for (std::size_t i = 0; i < count; ++i) who.emplace_back(members[i].nodeid, members[i].pid);
    of(handle).new_view(who);
  }
  static void on_quorum(quorum_handle_t handle, std::uint32_t is_quorate, std::uint64_t, std::uint32_t,
                        std::uint32_t *) {
    membership &self = of_quorum(handle);
    self.quorate_ = is_quorate != 0;
    self.decide();
  }

  bool join();
  void join_or_wait();
  void leave();
  void lost_corosync();
  template <class Dispatch>
  void read_on(library_descriptor &from, Dispatch dispatch);
  void beat();
  void say(const byte_writer &what);
  void say_master();
  void say_rank();
  void new_view(const std::vector<group_member> &members);
  void heard(group_member who, std::span<const std::byte> bytes);
  void heard_of_master(group_member who, byte_reader &in);
  void decide();
  void is_over(const std::string &why);

  boost::asio::io_context &io_;
  const std::string group_;
  boost::asio::steady_timer timer_;
  events events_;
  cpg_handle_t cpg_ = 0;
  quorum_handle_t quorum_ = 0;
  std::optional<library_descriptor> cpg_readable_, quorum_readable_;
  std::optional<group_ranks> ranks_;
  group_member self_;
  std::uint64_t rank_ = 0;  // given once, kept over views
  bool quorate_ = false, elected_ = false;
  std::string address_;
  term_id term_;
};

bool corosync_election::membership::join() {
  cpg_model_v1_data_t model{};
  model.model = CPG_MODEL_V1;
  model.cpg_deliver_fn = on_message;
  model.cpg_confchg_fn = on_view;
  if (::cpg_model_initialize(&cpg_, CPG_MODEL_V1, reinterpret_cast<cpg_model_data_t *>(&model), this) !=
      CS_OK) {
    cpg_ = 0;
    return false;
  }
  quorum_callbacks_t callbacks{};
  callbacks.quorum_notify_fn = on_quorum;
  std::uint32_t type = 0;
  if (::quorum_initialize(&quorum_, &callbacks, &type) != CS_OK) {
    quorum_ = 0;
    return false;
  }
  cpg_name name{};
  name.length = static_cast<std::uint32_t>(group_.copy(name.value, sizeof name.value));
  int cpg_fd = -1, quorum_fd = -1;
  if (::quorum_context_set(quorum_, this) != CS_OK || ::cpg_local_get(cpg_, &self_.first) != CS_OK ||
      ::cpg_fd_get(cpg_, &cpg_fd) != CS_OK || ::quorum_fd_get(quorum_, &quorum_fd) != CS_OK ||
      ::quorum_trackstart(quorum_, CS_TRACK_CHANGES | CS_TRACK_CURRENT) != CS_OK ||
      ::cpg_join(cpg_, &name) != CS_OK)
    return false;
  self_.second = static_cast<std::uint32_t>(::getpid());
  ranks_.emplace(self_);
  cpg_readable_.emplace(io_, cpg_fd);
  quorum_readable_.emplace(io_, quorum_fd);
  return true;
}

void corosync_election::membership::join_or_wait() {
  if (join()) {
    read_on(*cpg_readable_, [this] { return ::cpg_dispatch(cpg_, CS_DISPATCH_ALL) == CS_OK; });
    read_on(*quorum_readable_, [this] { return ::quorum_dispatch(quorum_, CS_DISPATCH_ALL) == CS_OK; });
    return beat();
  }
  leave();
  timer_.expires_after(std::chrono::seconds(1));
  timer_.async_wait([this](const error_code &cancelled) {
    if (!cancelled) join_or_wait();
  });
}

void corosync_election::membership::leave() {
  timer_.cancel();
  cpg_readable_.reset();
  quorum_readable_.reset();
  if (cpg_ != 0) (void)::cpg_finalize(std::exchange(cpg_, 0));
  if (quorum_ != 0) (void)::quorum_finalize(std::exchange(quorum_, 0));
  ranks_.reset();
  rank_ = 0;
  quorate_ = false;
}

template <class Dispatch>
void corosync_election::membership::read_on(library_descriptor &from, Dispatch dispatch) {
  from.stream().async_wait(boost::asio::posix::stream_descriptor::wait_read,
                           [this, &from, dispatch](const error_code &cancelled) {
                             if (cancelled) return;
                             if (!dispatch()) return lost_corosync();
                             if (cpg_ != 0) read_on(from, dispatch);
                           });
}

void corosync_election::membership::lost_corosync() {
  leave();
  is_over("the connection to corosync is lost");
  join_or_wait();
}

void corosync_election::membership::beat() {
  if (cpg_ == 0) return;  // was due already when the group was left
  byte_writer alive;
  alive.u8(static_cast<std::uint8_t>(word::alive));
  say(alive);
  if (ranks_ && !ranks_->own_word_is_out()) say_rank();
  if (elected_) say_master();  // those who came meanwhile have not heard it
  decide();
  timer_.expires_after(beat_interval);
  timer_.async_wait([this](const error_code &cancelled) {
    if (!cancelled) beat();
  });
}

// A word that cannot be sent now (flow control, a change of members) is lost: it is said again with the next beat.
void corosync_election::membership::say(const byte_writer &what) {
  if (cpg_ == 0) return;
  const auto bytes = what.bytes();
  struct iovec piece {
    const_cast<std::byte *>(bytes.data()), bytes.size()
  };
  (void)::cpg_mcast_joined(cpg_, CPG_TYPE_AGREED, &piece, 1);
}

void corosync_election::membership::say_master() {
  byte_writer out;
  out.u8(static_cast<std::uint8_t>(word::master));
  out.u64(term_.counter);
  out.u32(term_.node);
  out.text(address_);
  say(out);
}

void corosync_election::membership::new_view(const std::vector<group_member> &members) {
  if (!ranks_) return;
  ranks_->new_view(members, now_ms());
  say_rank();
}

void corosync_election::membership::say_rank() {
  byte_writer out;
  out.u8(static_cast<std::uint8_t>(word::rank));
  out.u64(rank_);
  say(out);
}

void corosync_election::membership::heard(group_member who, std::span<const std::byte> bytes) {
  if (!ranks_) return;
  byte_reader in(bytes);
  const auto what = static_cast<word>(in.u8());
  ranks_->heard(who, now_ms());
  if (what == word::rank) {
    const std::uint64_t rank = in.u64();
    if (!in.finished()) return;  // of another version
    ranks_->spoke(who, rank, now_ms());
    if (ranks_->own_rank() != 0) rank_ = ranks_->own_rank();
  } else if (what == word::master) {
    heard_of_master(who, in);
  }
  decide();
}

void corosync_election::membership::heard_of_master(group_member who, byte_reader &in) {
  term_id term;
  term.counter = in.u64();
  term.node = in.u32();
  const std::string address = in.text(address_bytes_max);
  if (!in.finished() || who == self_) return;
  if (elected_ && term > term_) return is_over("another server is the master in term " + to_text(term));
  if (!elected_ && events_.announced) events_.announced(address, term);
}

void corosync_election::membership::decide() {
  if (!events_.acquired || !ranks_) return;
  if (elected_ && !quorate_) return is_over("this partition of the cluster has no quorum");
  if (!quorate_) return;
  const auto oldest = ranks_->oldest(silence_ms);
  if (!oldest) return;  // not all have spoken yet: a master stays one meanwhile
  if (elected_ && *oldest != self_) return is_over("another member of the group is older");
  if (elected_ || *oldest != self_) return;
  elected_ = true;
  events_.acquired(0);
}

void corosync_election::membership::is_over(const std::string &why) {
  if (elected_ && events_.lost) events_.lost(why);
}

corosync_election::corosync_election(boost::asio::io_context &io, const std::string &group)
    : membership_(std::make_unique<membership>(io, group)) {}
corosync_election::~corosync_election() = default;
void corosync_election::acquire(events what_happens) { membership_->begin(std::move(what_happens)); }
void corosync_election::announce(const std::string &address, term_id term) {
  membership_->announce(address, term);
}
void corosync_election::release() { membership_->end(); }

}  // namespace

result<std::unique_ptr<election>> open_corosync_election(boost::asio::io_context &io,
                                                         const std::string &group) {
  return std::unique_ptr<election>(std::make_unique<corosync_election>(io, group));
}

}  // namespace csnap
