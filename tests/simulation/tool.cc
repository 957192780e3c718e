// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/tool.h"

#include "tests/simulation/probes.h"

#include <optional>

namespace csnap::simulation {

struct tool::attempt {
  fiber *waiter{};
  wire::message request;
  pipe_ptr pipe;
  frame_stream input;
  bool over = false, sent = false;
  std::optional<client::answer> answer;
  std::string hint;
};

void tool::begin(const std::shared_ptr<attempt> &a, const std::string &where) {
  const auto end = [this, a] {
    a->over = true;
    world_.wake(*a->waiter);
  };
  net_.connect(
      self_, box_, place_, where,
      [this, a, end](pipe_ptr pipe) {
        if (a->over) return pipe->close();
        a->pipe = pipe;
        pipe->on_closed = end;
        pipe->on_bytes = [this, a, end](std::span<const std::byte> bytes) {
          a->input.add(bytes);
          while (!a->over) {
            const auto next = a->input.next();
            if (!next) return end();
            if (!*next) return;
            if ((**next).request == 1 && std::holds_alternative<wire::welcome>((**next).body)) {
              a->sent = true;
              a->pipe->send(wire::encode_frame({2, {}, a->request}));
              continue;
            }
            const auto *f = std::get_if<wire::failed>(&(**next).body);
            if (f && f->code == errc::not_master) a->hint = f->address;
            else if ((**next).request == 2) a->answer = (**next).body;
            return end();
          }
        };
        wire::hello h;
        h.role = wire::client_role::tool;
        h.node = place_;
        pipe->send(wire::encode_frame({1, {}, h}));
      },
      end);
}

result<client::answer> tool::call(const wire::message &request, nanoseconds patience) {
  const nanoseconds end = world_.now() + patience;
  std::string hint;
  unsigned hints = 0, sent = 0;
  wire::message asked = request;
  while (world_.now() < end) {
    const auto a = std::make_shared<attempt>();
    a->waiter = fiber::current();
    if (new_id_each_time && sent > 0) {
      const auto id = static_cast<std::byte>(sent);
      if (auto *c = std::get_if<wire::create>(&asked)) c->request.bytes[15] = id;
      if (auto *r = std::get_if<wire::remove>(&asked)) r->request.bytes[15] = id;
      if (auto *r = std::get_if<wire::rename>(&asked)) r->request.bytes[15] = id;
    }
    a->request = asked;
    begin(a, hint.empty() ? servers_[next_server_++ % servers_.size()] : std::exchange(hint, {}));
    const nanoseconds give_up = std::min(end, world_.now() + 8 * second);
    while (!a->over && world_.now() < give_up) world_.wait(give_up - world_.now());
    a->over = true;
    if (a->pipe) a->pipe->close();
    if (a->sent) ++sent;
    if (a->answer) {
      sometimes(probe::tool_sent_again, sent > 1);
      if (const auto *f = std::get_if<wire::failed>(&*a->answer)) {
        if (f->code == errc::shutting_down) continue;
        return fail(f->code, f->text);
      }
      return *a->answer;
    }
    if (!a->hint.empty() && ++hints <= 3) hint = a->hint;
    else hints = 0, world_.sleep(20 * millisecond);
  }
  return fail(errc::shutting_down, "the tool gave up");
}

}  // namespace csnap::simulation
