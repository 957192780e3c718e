// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/attach/supervisor.h"

#include "metaserver/attach/device_facts.h"
#include "metaserver/base/check.h"

#include <algorithm>
#include <cerrno>

#include <linux/nbd.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/signalfd.h>

namespace csnap::attach {
namespace {

using ms = std::chrono::milliseconds;

constexpr ms attach_patience{30000};
constexpr ms reconnect_patience{10000};
constexpr ms look_interval{1000};  // whether the device is still ours
// With one connection and no --timeout the kernel only looks at a request when this time is over: is its connection
// another one by now, it is sent again. So this bounds how long it waits after the server is back.
constexpr std::uint32_t request_timer_ms = 5000;

ms now() { return std::chrono::duration_cast<ms>(std::chrono::steady_clock::now().time_since_epoch()); }

std::vector<int> sockets_of(const std::vector<negotiated> &connections) {
  std::vector<int> out;
  for (const negotiated &each : connections) out.push_back(each.socket.get());
  return out;
}

// What the kernel's client needs of an export. Errors: invalid, refused.
result<> is_fit(const export_facts &facts, const attach_order &order) {
  const std::string &name = order.place.export_name;
  if (facts.size_bytes == 0) return fail(errc::refused, name + " is empty");
  if (facts.size_bytes % order.block_bytes != 0)
    return fail(errc::invalid, name + " has " + std::to_string(facts.size_bytes) +
                                   " bytes, which is no multiple of the block size of " +
                                   std::to_string(order.block_bytes));
  if (order.connections > 1 && !facts.takes_several_connections())
    return fail(errc::invalid,
                "the server of " + name + " does not allow several connections: --connections 1");
  return {};
}

}  // namespace

supervisor_signals::supervisor_signals() {
  sigset_t heard;
  sigemptyset(&heard);
  for (const int each : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&heard, each);
  sigprocmask(SIG_BLOCK, &heard, nullptr);
  fd_ = owned_fd(::signalfd(-1, &heard, SFD_NONBLOCK | SFD_CLOEXEC));
  check(static_cast<bool>(fd_), "signalfd");
}

int supervisor_signals::take() const {
  signalfd_siginfo what{};
  return ::read(fd_.get(), &what, sizeof what) == sizeof what ? static_cast<int>(what.ssi_signo) : 0;
}

result<std::vector<negotiated>> supervisor::open_connections(const attach_order &order, ms patience,
                                                             int stop_fd) {
  std::vector<negotiated> out;
  while (out.size() < order.connections) {
    auto one = take_export(order.place, patience, stop_fd);
    if (!one) return one.error();
    out.push_back(std::move(*one));
  }
  return out;
}

result<supervisor> supervisor::attach(const attach_order &order, const supervisor_signals &signals) {
  auto kernel = kernel_nbd::open();
  if (!kernel) return kernel.error();
  auto news = link_news::open();
  if (!news) return news.error();
  supervisor out(order, std::move(*kernel), std::move(*news));
  auto connections = open_connections(order, attach_patience, signals.fd());
  if (!connections) return connections.error();
  out.facts_ = connections->front().facts;
  if (auto fit = is_fit(out.facts_, order); !fit) return fit.error();
  const attach_records records;
  const auto alone = records.keep_others_out();
  if (!alone) return alone.error();
  if (auto done = out.set_up(*connections, records); !done) return done.error();
  out.attached_by_ = device_facts(out.index_).attached_by().value_or("");
  // The device may hold what this program is paged in from.
  (void)::mlockall(MCL_CURRENT | MCL_FUTURE);
  return out;
}

// One that is attached to this export and has lost its supervisor. Errors: busy.
result<std::optional<std::uint32_t>> supervisor::find_orphan(const attach_records &records) const {
  const std::string &name = order_.place.export_name;
  const auto known = records.of_export(name);
  if (!known) return std::optional<std::uint32_t>();
  const device_facts device(known->index);
  const bool is_attached = device.attached_by() && device.identifier() == device_identifier(name);
  if (!is_attached && known->supervisor == 0) {
    records.forget(known->index);
    return std::optional<std::uint32_t>();
  }
  // Twice the same filesystem on one host would destroy it.
  if (known->supervisor != 0 || order_.index.value_or(known->index) != known->index)
    return fail(errc::busy, name + " is attached already: " + device_path(known->index));
  // Its filesystem is in use: it must not go on with another volume or snapshot of the same name.
  if (known->source != source())
    return fail(errc::busy, device_path(known->index) + " is attached to another server's " + name +
                                ", or to an older snapshot of this name: detach it first");
  return std::optional(known->index);
}

// One line that tells the export from others of its name. Of an origin the description changes with its snapshots.
std::string supervisor::source() const {
  std::string out = order_.place.uri;
  if ((facts_.flags & NBD_FLAG_READ_ONLY) != 0) out += " " + facts_.description;
  std::replace(out.begin(), out.end(), '\n', ' ');
  return out;
}

result<> supervisor::set_up(const std::vector<negotiated> &connections, const attach_records &records) {
  const auto orphan = find_orphan(records);
  if (!orphan) return orphan.error();
  if (*orphan) return take_over(**orphan, connections, records);
  device_request request{};
  request.index = order_.index;
  request.facts = facts_;
  request.identifier = device_identifier(order_.place.export_name);
  if (order_.read_only) request.facts.flags |= NBD_FLAG_READ_ONLY;
  request.block_bytes = order_.block_bytes;
  request.timeout_seconds = order_.timeout_seconds;
  request.dead_timeout_seconds = order_.dead_timeout_seconds;
  const auto index = kernel_.connect(request, sockets_of(connections));
  if (!index) return index.error();
  index_ = *index;
  auto record = records.take(index_, order_.place.export_name, source());
  if (!record) {
    (void)kernel_.disconnect(index_);
    return record.error();
  }
  record_ = std::move(*record);
  if (order_.timeout_seconds == 0 && order_.connections == 1)
    (void)device_facts(index_).set_request_timer_ms(request_timer_ms);  // slower at worst
  return {};
}

result<> supervisor::take_over(std::uint32_t index, const std::vector<negotiated> &connections,
                               const attach_records &records) {
  index_ = index;
  if (device_facts(index).size_bytes() != facts_.size_bytes)
    return fail(errc::refused, device_path(index) + " is attached to it with another size: detach it first");
  auto record = records.take(index, order_.place.export_name, source());
  if (!record) return record.error();
  record_ = std::move(*record);
  // Its connections may have died while nobody listened; those that live the kernel keeps.
  return kernel_.reconnect(index, device_identifier(order_.place.export_name), sockets_of(connections));
}

void supervisor::connect_again(link_keeper &keeper, const supervisor_signals &signals) {
  const auto connections = open_connections(order_, reconnect_patience, signals.fd());
  if (!connections) {
    if (connections.error().code != errc::shutting_down)
      keeper.not_connected(connections.error().text, now());
    return;
  }
  if (!keeper.may_go_on(connections->front().facts, now())) return;
  const auto taken =
      kernel_.reconnect(index_, device_identifier(order_.place.export_name), sockets_of(*connections));
  if (taken) keeper.connected(now());
  else if (taken.error().code == errc::gone) keeper.device_gone();
  else keeper.not_connected(taken.error().text, now());
}

void supervisor::obey(link_keeper &keeper, int signal) const {
  if (signal == SIGUSR1) keeper.device_gone();
  else keeper.asked_to_end(device_facts(index_).user());
}

result<> supervisor::watch(const supervisor_signals &signals, link_keeper::say tell) {
  link_keeper keeper(facts_, ms(1000) * order_.dead_timeout_seconds, now(), std::move(tell));
  for (;;) {
    if (device_facts(index_).attached_by().value_or("") != attached_by_) keeper.device_gone();
    const auto deed = keeper.next(now());
    if (deed == link_keeper::deed::end) break;
    if (deed == link_keeper::deed::connect) connect_again(keeper, signals);
    if (deed == link_keeper::deed::disconnect) {
      if (auto done = kernel_.disconnect(index_); !done && done.error().code != errc::gone)
        return done.error();
      keeper.device_gone();
    }
    const ms wait =
        deed == link_keeper::deed::wait ? std::clamp(keeper.due() - now(), ms(0), look_interval) : ms(0);
    pollfd fds[2] = {{news_.fd(), POLLIN, 0}, {signals.fd(), POLLIN, 0}};
    (void)::poll(fds, 2, static_cast<int>(wait.count()));
    if (fds[0].revents != 0 && news_.take(index_)) keeper.link_died(now());
    if (const int signal = signals.take(); signal != 0) obey(keeper, signal);
  }
  attach_records().forget(index_);
  return {};
}

}  // namespace csnap::attach
