// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/attach/nbd_handshake.h"

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <libnbd.h>
#include <linux/nbd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace csnap::attach {
namespace {

using clock = std::chrono::steady_clock;

constexpr std::size_t exports_shown_max = 8;
constexpr std::size_t peer_text_max = 200;  // what a peer says is shown, and not without limit

std::string shortened(std::string text) {
  if (text.size() > peer_text_max) text = text.substr(0, peer_text_max) + "...";
  for (char &c : text)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
  return text;
}

std::string last_error() {
  const char *text = nbd_get_error();
  return text == nullptr ? "unknown error" : shortened(text);
}

// What ended an option, told by libnbd's callback.
struct option_end {
  std::optional<int> error_number;
};

int note_end(void *end, int *error_number) {
  static_cast<option_end *>(end)->error_number = *error_number;
  return 0;
}

struct export_names {
  std::vector<std::string> shown;
  std::size_t more = 0;
};

int note_name(void *names, const char *name, const char *) {
  auto &into = *static_cast<export_names *>(names);
  if (into.shown.size() < exports_shown_max) into.shown.push_back(shortened(name));
  else ++into.more;
  return 0;
}

class handshake {
 public:
  handshake(const nbd_place &place, clock::time_point deadline, int stop_fd)
      : place_(place), deadline_(deadline), stop_fd_(stop_fd), handle_(nbd_create(), nbd_close) {}

  result<negotiated> run() {
    if (!handle_) return fail(errc::io, last_error());
    if (auto r = connect(); !r) return r.error();
    if (auto r = go(); !r) return r.error();
    return take_socket();
  }

 private:
  error broken(const std::string &why) const { return fail(errc::io, place_.uri + ": " + why); }

  // Waits for one step of the connection. False: the time is over, or somebody asks us to stop.
  result<> move_on() {
    const unsigned direction = nbd_aio_get_direction(handle_.get());
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - clock::now());
    if (left.count() <= 0) return fail(errc::timed_out, place_.uri + ": the NBD server does not answer");
    pollfd fds[2] = {{nbd_aio_get_fd(handle_.get()), 0, 0}, {stop_fd_, POLLIN, 0}};
    if (direction & LIBNBD_AIO_DIRECTION_READ) fds[0].events |= POLLIN;
    if (direction & LIBNBD_AIO_DIRECTION_WRITE) fds[0].events |= POLLOUT;
    if (::poll(fds, 2, static_cast<int>(left.count())) < 0 && errno != EINTR) return broken("poll failed");
    if (fds[1].revents != 0) return fail(errc::shutting_down, "asked to stop");
    // Reading first: what the server says may make writing needless.
    const bool readable = (direction & LIBNBD_AIO_DIRECTION_READ) && (fds[0].revents & ~POLLOUT) != 0;
    const bool writable = (direction & LIBNBD_AIO_DIRECTION_WRITE) && fds[0].revents != 0;
    if (readable && nbd_aio_notify_read(handle_.get()) < 0) return broken(last_error());
    if (!readable && writable && nbd_aio_notify_write(handle_.get()) < 0) return broken(last_error());
    return {};
  }

  result<> connect() {
    nbd_handle *h = handle_.get();
    nbd_set_opt_mode(h, true);
    nbd_set_request_structured_replies(h, false);  // the kernel's client knows only simple ones
    nbd_set_full_info(h, true);
    nbd_set_uri_allow_tls(h, LIBNBD_TLS_DISABLE);
    if (nbd_aio_connect_uri(h, place_.uri.c_str()) < 0) return broken(last_error());
    while (nbd_aio_is_connecting(h) == 1)
      if (auto r = move_on(); !r) return r.error();
    if (nbd_aio_is_negotiating(h) != 1) return broken(last_error());
    return {};
  }

  result<> go() {
    nbd_handle *h = handle_.get();
    option_end end;
    nbd_set_export_name(h, place_.export_name.c_str());
    if (nbd_aio_opt_go(h, {.callback = note_end, .user_data = &end, .free = nullptr}) < 0)
      return broken(last_error());
    while (nbd_aio_is_connecting(h) == 1)
      if (auto r = move_on(); !r) return r.error();
    if (nbd_aio_is_ready(h) == 1) return {};
    if (nbd_aio_is_negotiating(h) != 1) return broken(last_error());
    return fail(errc::not_found,
                "there is no export '" + place_.export_name + "' at " + place_.uri + names_there());
  }

  // "; there are: a, b". Nothing if the server does not tell.
  std::string names_there() {
    nbd_handle *h = handle_.get();
    export_names names;
    option_end end;
    if (nbd_aio_opt_list(h, {.callback = note_name, .user_data = &names, .free = nullptr},
                         {.callback = note_end, .user_data = &end, .free = nullptr}) < 0)
      return "";
    while (nbd_aio_is_connecting(h) == 1)
      if (auto r = move_on(); !r) break;
    if (names.shown.empty()) return "";
    std::string text = "; there are: ";
    for (const std::string &each : names.shown) text += (&each == &names.shown.front() ? "" : ", ") + each;
    return names.more == 0 ? text : text + " and " + std::to_string(names.more) + " more";
  }

  // A host that lost its power says nothing, and requests that only wait for answers send nothing: without these the
  // kernel would take the connection for a living one for ever. On a Unix socket they do nothing.
  static void notice_dead_hosts(int socket) {
    const auto set = [&](int level, int option, int value) {
      ::setsockopt(socket, level, option, &value, sizeof value);
    };
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 10);  // seconds
    set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
    set(IPPROTO_TCP, TCP_KEEPCNT, 4);
    set(IPPROTO_TCP, TCP_USER_TIMEOUT, 30000);  // ms
  }

  result<negotiated> take_socket() {
    nbd_handle *h = handle_.get();
    negotiated out;
    const std::int64_t size = nbd_get_size(h);
    if (size < 0) return broken(last_error());
    out.facts.size_bytes = static_cast<std::uint64_t>(size);
    out.facts.flags = flags();
    if (char *text = nbd_get_export_description(h); text != nullptr) {
      out.facts.description = shortened(text);
      std::free(text);
    }
    // libnbd's end closes its descriptor without a word to the server; the copy keeps the connection.
    out.socket = owned_fd(::fcntl(nbd_aio_get_fd(h), F_DUPFD_CLOEXEC, 3));
    if (!out.socket) return broken("cannot keep its socket");
    ::fcntl(out.socket.get(), F_SETFL, 0);
    notice_dead_hosts(out.socket.get());
    return out;
  }

  std::uint16_t flags() {
    nbd_handle *h = handle_.get();
    unsigned out = NBD_FLAG_HAS_FLAGS;
    const auto add = [&](int answer, unsigned flag) { out |= answer == 1 ? flag : 0; };
    add(nbd_is_read_only(h), NBD_FLAG_READ_ONLY);
    add(nbd_can_flush(h), NBD_FLAG_SEND_FLUSH);
    add(nbd_can_fua(h), NBD_FLAG_SEND_FUA);
    add(nbd_can_trim(h), NBD_FLAG_SEND_TRIM);
    add(nbd_can_multi_conn(h), NBD_FLAG_CAN_MULTI_CONN);
    return static_cast<std::uint16_t>(out);
  }

  const nbd_place &place_;
  const clock::time_point deadline_;
  const int stop_fd_;
  std::unique_ptr<nbd_handle, void (*)(nbd_handle *)> handle_;
};

}  // namespace

result<std::string> server_uri(const std::string &typed) {
  if (!typed.empty() && typed.front() == '/') return "nbd+unix:///?socket=" + typed;
  for (const char *scheme : {"nbd://", "nbd+unix://"})
    if (typed.starts_with(scheme)) return typed;
  if (typed.starts_with("nbds"))
    return fail(errc::invalid, "the kernel's NBD client has no TLS: give a Unix socket, or nbd://HOST");
  return fail(
      errc::invalid,
      "'" + typed + "' is neither a socket's path nor nbd://HOST[:PORT] nor nbd+unix:///?socket=PATH");
}

result<negotiated> take_export(const nbd_place &place, std::chrono::milliseconds patience, int stop_fd) {
  return handshake(place, clock::now() + patience, stop_fd).run();
}

}  // namespace csnap::attach
