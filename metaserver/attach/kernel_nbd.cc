// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/attach/kernel_nbd.h"

#include <cerrno>
#include <cstring>

#include <linux/nbd-netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

namespace csnap::attach {
namespace {

using socket_ptr = std::unique_ptr<nl_sock, void (*)(nl_sock *)>;
using message_ptr = std::unique_ptr<nl_msg, void (*)(nl_msg *)>;

constexpr char no_module[] = "the kernel has no NBD client: modprobe nbd (as root)";

socket_ptr connected_socket() {
  socket_ptr socket(nl_socket_alloc(), nl_socket_free);
  if (socket && genl_connect(socket.get()) < 0) socket.reset();
  return socket;
}

// The number that an NBD message tells of, if it does.
std::optional<std::uint32_t> index_in(nl_msg *message) {
  nlattr *attributes[NBD_ATTR_MAX + 1] = {};
  if (genlmsg_parse(nlmsg_hdr(message), 0, attributes, NBD_ATTR_MAX, nullptr) < 0) return {};
  const nlattr *index = attributes[NBD_ATTR_INDEX];
  if (index == nullptr || nla_len(index) < static_cast<int>(sizeof(std::uint32_t))) return {};
  return nla_get_u32(index);
}

struct answer {
  bool ended = false;
  int error_number = 0;
  std::optional<std::uint32_t> index;
};

int take_message(nl_msg *message, void *into) {
  if (auto index = index_in(message)) static_cast<answer *>(into)->index = index;
  return NL_OK;
}

int take_acknowledgement(nl_msg *, void *into) {
  static_cast<answer *>(into)->ended = true;
  return NL_STOP;
}

int take_error(sockaddr_nl *, nlmsgerr *what, void *into) {
  static_cast<answer *>(into)->ended = true;
  static_cast<answer *>(into)->error_number = -what->error;
  return NL_STOP;
}

answer no_answer(int error_number) { return {true, error_number, {}}; }

// Sends one request and waits for the kernel's word.
answer ask(nl_sock *socket, nl_msg *request) {
  answer out;
  const std::unique_ptr<nl_cb, void (*)(nl_cb *)> callbacks(nl_cb_alloc(NL_CB_DEFAULT), nl_cb_put);
  if (!callbacks) return no_answer(ENOMEM);
  nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, take_message, &out);
  nl_cb_set(callbacks.get(), NL_CB_ACK, NL_CB_CUSTOM, take_acknowledgement, &out);
  nl_cb_err(callbacks.get(), NL_CB_CUSTOM, take_error, &out);
  if (nl_send_auto(socket, request) < 0) return no_answer(EIO);
  while (!out.ended)
    if (nl_recvmsgs(socket, callbacks.get()) < 0 && !out.ended) return no_answer(EIO);
  return out;
}

message_ptr new_request(int family, std::uint8_t command) {
  message_ptr request(nlmsg_alloc(), nlmsg_free);
  if (request) genlmsg_put(request.get(), NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, 0, command, 0);
  return request;
}

bool put_sockets(nl_msg *request, std::span<const int> sockets) {
  nlattr *all = nla_nest_start(request, NBD_ATTR_SOCKETS);
  if (all == nullptr) return false;
  for (const int socket : sockets) {
    nlattr *item = nla_nest_start(request, NBD_SOCK_ITEM);
    if (item == nullptr || nla_put_u32(request, NBD_SOCK_FD, static_cast<std::uint32_t>(socket)) < 0)
      return false;
    nla_nest_end(request, item);
  }
  nla_nest_end(request, all);
  return true;
}

error refusal(const char *what, int error_number) {
  if (error_number == EPERM) return fail(errc::refused, "only root may set up the kernel's NBD devices");
  return fail(errc::io, std::string(what) + ": " + std::strerror(error_number));
}

}  // namespace

result<kernel_nbd> kernel_nbd::open() {
  socket_ptr socket = connected_socket();
  if (!socket) return fail(errc::io, "no generic netlink socket");
  const int family = genl_ctrl_resolve(socket.get(), NBD_GENL_FAMILY_NAME);
  if (family < 0) return fail(errc::not_found, no_module);
  return kernel_nbd(std::move(socket), family);
}

result<std::uint32_t> kernel_nbd::connect(const device_request &what, std::span<const int> sockets) {
  const message_ptr request = new_request(family_, NBD_CMD_CONNECT);
  nl_msg *r = request.get();
  bool fits = r != nullptr;
  if (what.index) fits = fits && nla_put_u32(r, NBD_ATTR_INDEX, *what.index) == 0;
  fits = fits && nla_put_u64(r, NBD_ATTR_SIZE_BYTES, what.facts.size_bytes) == 0 &&
         nla_put_u64(r, NBD_ATTR_BLOCK_SIZE_BYTES, what.block_bytes) == 0 &&
         nla_put_u64(r, NBD_ATTR_SERVER_FLAGS, what.facts.flags) == 0 &&
         nla_put_u64(r, NBD_ATTR_TIMEOUT, what.timeout_seconds) == 0 &&
         nla_put_u64(r, NBD_ATTR_DEAD_CONN_TIMEOUT, what.dead_timeout_seconds) == 0 &&
         nla_put_string(r, NBD_ATTR_BACKEND_IDENTIFIER, what.identifier.c_str()) == 0 &&
         put_sockets(r, sockets);
  if (!fits) return fail(errc::io, "the request to the kernel does not fit into a message");
  const answer answered = ask(socket_.get(), r);
  const std::string name = what.index ? "/dev/nbd" + std::to_string(*what.index) : "an nbd device";
  if (answered.error_number == EBUSY)
    return fail(errc::busy, name + " is in use: name another one, or none for any that is free");
  if (answered.error_number != 0) return refusal((name + " cannot be set up").c_str(), answered.error_number);
  const auto index = answered.index ? answered.index : what.index;
  if (!index) return fail(errc::io, "the kernel does not say which device it took");
  return *index;
}

result<> kernel_nbd::reconnect(std::uint32_t index, const std::string &identifier,
                               std::span<const int> sockets) {
  const message_ptr request = new_request(family_, NBD_CMD_RECONFIGURE);
  nl_msg *r = request.get();
  if (r == nullptr || nla_put_u32(r, NBD_ATTR_INDEX, index) != 0 ||
      nla_put_string(r, NBD_ATTR_BACKEND_IDENTIFIER, identifier.c_str()) != 0 || !put_sockets(r, sockets))
    return fail(errc::io, "the request to the kernel does not fit into a message");
  const answer answered = ask(socket_.get(), r);
  if (answered.error_number == EINVAL)
    return fail(errc::gone, "/dev/nbd" + std::to_string(index) + " is no longer attached to this");
  if (answered.error_number != 0) return refusal("the kernel takes no new connection", answered.error_number);
  return {};
}

result<> kernel_nbd::disconnect(std::uint32_t index) {
  const message_ptr request = new_request(family_, NBD_CMD_DISCONNECT);
  if (!request || nla_put_u32(request.get(), NBD_ATTR_INDEX, index) != 0)
    return fail(errc::io, "the request to the kernel does not fit into a message");
  const answer answered = ask(socket_.get(), request.get());
  if (answered.error_number == EINVAL || answered.error_number == ENOENT)
    return fail(errc::gone, "/dev/nbd" + std::to_string(index) + " is not attached");
  if (answered.error_number != 0) return refusal("the kernel does not detach it", answered.error_number);
  return {};
}

result<link_news> link_news::open() {
  socket_ptr socket = connected_socket();
  if (!socket) return fail(errc::io, "no generic netlink socket");
  const int group = genl_ctrl_resolve_grp(socket.get(), NBD_GENL_FAMILY_NAME, NBD_GENL_MCAST_GROUP_NAME);
  if (group < 0) return fail(errc::not_found, no_module);
  nl_socket_disable_seq_check(socket.get());  // nobody asked for news
  if (nl_socket_add_membership(socket.get(), group) < 0 || nl_socket_set_nonblocking(socket.get()) < 0)
    return fail(errc::io, "the kernel's news of NBD connections cannot be heard");
  return link_news(std::move(socket));
}

int link_news::fd() const { return nl_socket_get_fd(socket_.get()); }

bool link_news::take(std::uint32_t index) {
  struct heard {
    std::uint32_t index;
    bool died = false;
  } what{index};
  const auto note = [](nl_msg *message, void *into) -> int {
    auto &told = *static_cast<heard *>(into);
    const auto *header = static_cast<const genlmsghdr *>(nlmsg_data(nlmsg_hdr(message)));
    if (header->cmd == NBD_CMD_LINK_DEAD && index_in(message) == told.index) told.died = true;
    return NL_OK;
  };
  nl_socket_modify_cb(socket_.get(), NL_CB_VALID, NL_CB_CUSTOM, note, &what);
  int status = 0;
  while ((status = nl_recvmsgs_default(socket_.get())) == 0) {
  }
  // Other than "nothing more": the queue overflowed, and what was lost may have been ours.
  return what.died || status != -NLE_AGAIN;
}

}  // namespace csnap::attach
