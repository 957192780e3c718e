// SPDX-License-Identifier: BSD-3-Clause
#include "nbdkit-plugin/runtime_client.h"

#include <algorithm>

namespace csnap::plugin {

using client::admission;
using client::client_machine;
using client::read_plan;
using client::read_state;
using client::reserved_chunk;
using client::write_verdict;

namespace {

client::runtime_options make_options(std::vector<client::endpoint> servers,
                                     std::optional<client::agent_options> agent, bool io_ends_with_process,
                                     std::vector<std::string> planted, const runtime_client::hooks &hooks) {
  client::runtime_options options;
  options.servers = std::move(servers);
  options.agent = std::move(agent);
  options.machine = client::describe_this_process();
  options.machine.io_ends_with_process = io_ends_with_process;
  options.machine.planted = std::move(planted);
  options.on_change = hooks.on_change;
  options.interrupted = hooks.interrupted;
  options.log = hooks.log;
  return options;
}

// The answer as the type that the request's comment names.
template <class T>
result<T> expect(client::answer a) {
  if (auto *failure = std::get_if<wire::failed>(&a)) return fail(failure->code, std::move(failure->text));
  if (auto *wanted = std::get_if<T>(&a)) return std::move(*wanted);
  return fail(errc::corrupt, "the server answered a request with a message of another kind");
}

}  // namespace

runtime_client::runtime_client(std::vector<client::endpoint> servers,
                               std::optional<client::agent_options> agent, bool io_ends_with_process,
                               std::vector<std::string> planted, std::chrono::milliseconds timeout, hooks h)
    : timeout_(timeout),
      hooks_(std::move(h)),
      runtime_(make_options(std::move(servers), std::move(agent), io_ends_with_process, std::move(planted),
                            hooks_)) {}

result<write_verdict> runtime_client::begin_write(volume_id volume, chunk_no first, std::uint64_t count) {
  write_verdict verdict;
  // What the caller's attempt with the pass has ended may be what a barrier waits for, as in end_write().
  auto drains = runtime_.locked([&](client_machine &m, boottime_ms now) {
    verdict = m.begin_write(volume, first, count, now);
    return m.take_drains();
  });
  if (!drains.empty()) hooks_.on_drains(std::move(drains));
  if (verdict.what != admission::wait) return verdict;
  return runtime_.wait_until<write_verdict>(
      timeout_, [&](client_machine &m, boottime_ms now) -> std::optional<write_verdict> {
        verdict = m.begin_write(volume, first, count, now);
        if (verdict.what == admission::wait) return std::nullopt;
        return std::move(verdict);
      });
}

// The last write in flight before a barrier: its flush is due now, and nothing else would say so.
void runtime_client::end_write(volume_id volume) {
  auto drains = runtime_.locked([&](client_machine &m, boottime_ms) {
    m.end_write(volume);
    return m.take_drains();
  });
  if (!drains.empty()) hooks_.on_drains(std::move(drains));
}

void runtime_client::write_drained() {
  auto drains = runtime_.locked([](client_machine &m, boottime_ms) {
    m.write_drained();
    return m.take_drains();
  });
  if (!drains.empty()) hooks_.on_drains(std::move(drains));
}

result<std::vector<reserved_chunk>> runtime_client::take_reserved(volume_id volume, std::uint32_t wanted,
                                                                  bool briefly) {
  struct attempt {
    result<std::vector<reserved_chunk>> outcome;
  };
  constexpr std::chrono::milliseconds a_moment{200};  // some round trips
  const bool is_sooner = briefly && (timeout_.count() == 0 || a_moment < timeout_);
  client::chunk_wait wait;
  auto taken = runtime_.wait_until<attempt>(is_sooner ? a_moment : timeout_,
                                            [&](client_machine &m, boottime_ms) -> std::optional<attempt> {
                                              auto some = m.take_reserved(volume, wanted, wait);
                                              if (some && some->empty()) return std::nullopt;
                                              return attempt{std::move(some)};
                                            });
  if (!taken && briefly && taken.error().code == errc::timed_out)
    return std::vector<client::reserved_chunk>();
  if (!taken) return taken.error();
  return std::move(taken->outcome);
}

void runtime_client::return_unused(std::span<const reserved_chunk> chunks) {
  runtime_.locked([&](client_machine &m, boottime_ms) { m.return_unused(chunks); });
}

template <class T>
result<T> runtime_client::answer_of(client::ticket t) {
  auto answer = runtime_.wait_until<client::answer>(
      timeout_, [&](client_machine &m, boottime_ms) { return m.take_answer(t); });
  if (answer) return expect<T>(std::move(*answer));
  runtime_.locked([&](client_machine &m, boottime_ms) { m.abandon(t); });
  return answer.error();
}

result<wire::committed> runtime_client::commit(wire::commit what) {
  return answer_of<wire::committed>(
      runtime_.locked([&](client_machine &m, boottime_ms) { return m.commit(std::move(what)); }));
}

result<read_plan> runtime_client::begin_read(volume_id volume, snapshot_number number, chunk_no first,
                                             std::uint64_t count) {
  auto plan = runtime_.locked(
      [&](client_machine &m, boottime_ms now) { return m.begin_read(volume, number, first, count, now); });
  if (plan.what != read_state::wait) return plan;
  return runtime_.wait_until<read_plan>(timeout_,
                                        [&](client_machine &m, boottime_ms now) -> std::optional<read_plan> {
                                          plan = m.begin_read(volume, number, first, count, now);
                                          if (plan.what == read_state::wait) return std::nullopt;
                                          return std::move(plan);
                                        });
}

bool runtime_client::finish_read(volume_id volume, snapshot_number number, chunk_no first,
                                 const read_plan &plan) {
  if (runtime_.watch().still_holds(plan.seen, now())) return true;
  return runtime_.locked(
      [&](client_machine &m, boottime_ms now) { return m.finish_read(volume, number, first, plan, now); });
}

result<wire::diff_reply> runtime_client::diff(volume_id volume, snapshot_number older, snapshot_number newer,
                                              chunk_no first) {
  wire::diff what;
  what.id = volume;
  what.older_number = older;
  what.newer_number = newer;
  what.first = first;
  auto answer = runtime_.call(std::move(what), timeout_);
  if (!answer) return answer.error();
  return expect<wire::diff_reply>(std::move(*answer));
}

result<wire::welcome> runtime_client::welcome() {
  return runtime_.wait_until<wire::welcome>(timeout_,
                                            [](client_machine &m, boottime_ms) { return m.welcome(); });
}

result<wire::volume_opened> runtime_client::open_volume(const std::string &name) {
  return answer_of<wire::volume_opened>(
      runtime_.locked([&](client_machine &m, boottime_ms) { return m.open_volume(name); }));
}

std::shared_ptr<client::write_pass> runtime_client::pass_of(volume_id volume) {
  return runtime_.locked([&](client_machine &m, boottime_ms) { return m.pass_of(volume); });
}

result<wire::snapshot_opened> runtime_client::open_snapshot(const std::string &volume,
                                                            const std::string &snapshot) {
  return answer_of<wire::snapshot_opened>(
      runtime_.locked([&](client_machine &m, boottime_ms) { return m.open_snapshot(volume, snapshot); }));
}

void runtime_client::close_snapshot(volume_id volume, snapshot_number number) {
  runtime_.locked([&](client_machine &m, boottime_ms) { m.close_snapshot(volume, number); });
}

result<wire::list_reply> runtime_client::list(const wire::list &what, std::chrono::milliseconds wait) {
  const auto limit =
      timeout_.count() == 0 || wait.count() == 0 ? std::max(wait, timeout_) : std::min(wait, timeout_);
  auto answer = runtime_.call(what, limit);
  if (!answer) return answer.error();
  return expect<wire::list_reply>(std::move(*answer));
}

std::vector<client_machine::drain> runtime_client::take_drains() {
  return runtime_.locked([](client_machine &m, boottime_ms) { return m.take_drains(); });
}

void runtime_client::drained(barrier_id barrier) {
  runtime_.locked([&](client_machine &m, boottime_ms) { m.drained(barrier); });
}

}  // namespace csnap::plugin
