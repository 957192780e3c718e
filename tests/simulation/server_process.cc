// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/server_process.h"

#include "tests/simulation/probes.h"

#include <algorithm>

namespace csnap::simulation {

server_process::server_process(world &w, network &net, election_oracle &election, disk &metadata,
                               process &self, server_setup setup)
    : world_(w),
      net_(net),
      election_(election),
      self_(self),
      setup_(std::move(setup)),
      metadata_(metadata, self),
      chance_(w.stream(setup_.address + std::to_string(self.pid()))),
      box_(w, self),
      workers_{mailbox(w, self), mailbox(w, self), mailbox(w, self)} {
  box_.post([this] { begin(); });
}

void server_process::begin() {
  const auto label = store::read_label(metadata_);
  if (!label) stop_at_once("the store cannot be opened", label.error());
  shape_ = label->shape;
  standby_.emplace(metadata_, shape_, setup_.address);
  net_.listen(setup_.address, {&self_, &box_, [this](pipe_ptr pipe) { accepted(std::move(pipe)); }});
  election_.candidate(self_, [this] { box_.post([this] { elected(); }); });
}

void server_process::elected() {
  store::engine_options how;
  how.node = setup_.node;
  how.cache_bytes = setup_.cache_bytes;
  how.address = setup_.address;
  how.predecessors_dead = !election_.can_split();
  how.planted = setup_.planted_in_engine;
  auto engine = store::engine::take_over(metadata_, how);
  if (!engine) {
    sometimes(probe::takeover_failed);
    sometimes(probe::takeover_met_damage, engine.error().code == errc::corrupt);
    sometimes(probe::takeover_lost_to_another, engine.error().code == errc::stale);
    stop_at_once("taking the store over failed", engine.error());
  }
  sometimes(probe::takeover, (*engine)->term().counter > 2);
  sometimes(probe::takeover_with_sessions, !(*engine)->sessions().empty());
  world_.say("%s is master of term %s", self_.name().c_str(), to_text((*engine)->term()).c_str());
  server::master_options options;
  options.about.address = setup_.address;
  options.about.node = setup_.node;
  options.measure_store = setup_.measure_store;
  options.election_can_split = election_.can_split();
  options.planted_in_core = setup_.planted_in_core;
  options.planted = setup_.planted;
  engine_ = engine->get();
  server::server_environment &around = *this;
  server::peers &others = *this;
  master_ =
      std::make_unique<server::master>(around, std::move(*engine), metadata_, others, std::move(options));
  if (election_.can_split()) ask_for_proof();
}

// As a fence would say it: perhaps at once, perhaps much later.
void server_process::ask_for_proof() {
  const bool came = election_.are_others_gone(self_);
  sometimes(probe::predecessors_proved_dead, came);
  if (came) return engine_->predecessors_died();
  world_.after(chance_.between(1, 200) * millisecond, &self_,
               [this] { box_.post([this] { ask_for_proof(); }); });
}

void server_process::stop() {
  box_.post([this] {
    if (std::exchange(stopping_, true)) return;
    if (!master_) {
      election_.release(self_);
      return self_.kill();
    }
    sometimes(probe::server_stopped_cleanly);
    master_->finish([this] {
      election_.release(self_);
      self_.kill();
    });
  });
}

// ---- connections ----

void server_process::accepted(pipe_ptr pipe) {
  const auto made = std::make_shared<peer>();
  made->id = core::connection_id{++last_connection_.value};
  made->pipe = std::move(pipe);
  peers_.emplace(made->id, made);
  const std::weak_ptr weak = made;
  made->pipe->on_bytes = [this, weak](std::span<const std::byte> bytes) {
    const peer_ptr from = weak.lock();
    if (!from) return;
    from->input.add(bytes);
    work_off(from);
  };
  made->pipe->on_closed = [this, weak] {
    if (const peer_ptr who = weak.lock()) closed(who);
  };
}

void server_process::work_off(const peer_ptr &from) {
  while (from->pipe->is_open()) {
    if (!from->held) {
      auto next = from->input.next();
      if (!next) {
        from->pipe->close();
        return closed(from);
      }
      if (!*next) return;
      from->held = std::move(**next);
    }
    if (!received(*from, *from->held)) return;
    from->held.reset();
  }
}

bool server_process::received(peer &from, const wire::envelope &what) {
  if (stopping_) return true;
  if (!master_) {
    sometimes(probe::standby_asked);
    const auto id = from.id;
    if (const auto answer = standby_->answer(what, now())) send(id, *answer);
    return true;
  }
  sometimes(probe::request_sent_again,
            what.request != 0 && what.term.counter != 0 && what.term < master_->term());
  if (const auto *m = std::get_if<wire::map>(&what.body); m && setup_.on_map)
    maps_asked_[{from.id, what.request}] = *m;
  if (master_->handle_message(from.id, what)) return true;
  sometimes(probe::request_waited_for_room);
  waiting_for_room_.push_back(from.id);
  return false;
}

void server_process::room_again() {
  auto waiting = std::exchange(waiting_for_room_, {});
  for (const auto id : waiting) {
    const auto found = peers_.find(id);
    if (found == peers_.end()) continue;
    const peer_ptr next = found->second;
    work_off(next);
  }
}

void server_process::closed(const peer_ptr &who) {
  if (peers_.erase(who->id) == 0 || !master_) return;
  master_->connection_lost(who->id);
  if (setup_.eof_is_death && who->session.value != 0 && died_) died_(who->session);
}

void server_process::send(core::connection_id to, const wire::envelope &what) {
  const auto found = peers_.find(to);
  if (found == peers_.end()) return;
  if (const auto *w = std::get_if<wire::welcome>(&what.body)) found->second->session = w->session;
  if (setup_.on_send) setup_.on_send(what);
  if (const auto *granted = std::get_if<wire::reserved>(&what.body); granted && setup_.on_grant)
    setup_.on_grant(*granted);
  if (const auto *said = std::get_if<wire::map_reply>(&what.body); said && setup_.on_map)
    setup_.on_map(maps_asked_.at({to, what.request}), *said);
  if (what.request == 0) world_.say("%s says %s", self_.name().c_str(), wire::message_name(what.body));
  found->second->pipe->send(wire::encode_frame(what));
}

void server_process::hang_up(core::connection_id who, const std::string &reason) {
  const auto found = peers_.find(who);
  if (found == peers_.end()) return;
  world_.say("%s hangs up: %s", self_.name().c_str(), reason.c_str());
  sometimes(probe::server_hung_up);
  const peer_ptr ended = found->second;
  ended->pipe->close_when_sent();
  post([this, ended] { closed(ended); });
}

// ---- the environment ----

boottime_ms server_process::now() {
  const host &where = self_.where();
  nanoseconds time = where.boottime(world_.now());
  if (setup_.time_is_wall_clock) time += where.wall_offset;
  return boottime_ms{time / millisecond};
}

std::int64_t server_process::unix_ms() {
  return 1700000000000 + (self_.where().boottime(world_.now()) + self_.where().wall_offset) / millisecond;
}

std::uint64_t server_process::random_bits() { return chance_.next(); }

void server_process::post(std::function<void()> what) { box_.post(std::move(what)); }

void server_process::set_timer(std::int64_t wait_ms, std::function<void()> what) {
  world_.after(wait_ms * millisecond, &self_, [this, number = ++timer_number_, what = std::move(what)] {
    if (number != timer_number_) return;
    box_.post([this, number, what] {
      if (number == timer_number_) what();
    });
  });
}

void server_process::cancel_timer() { ++timer_number_; }

void server_process::run(server::worker who, std::function<void()> job, std::function<void()> then) {
  workers_[static_cast<std::size_t>(who)].post([this, job = std::move(job), then = std::move(then)] {
    job();
    box_.post(then);
  });
}

namespace {

process *find_process(world &w, const host &machine, std::uint32_t pid, std::uint64_t started) {
  for (const auto &p : w.processes())
    if (&p->where() == &machine && p->pid() == pid && p->started() == started && !p->gone()) return p.get();
  return nullptr;
}

}  // namespace

void server_process::limit_claims(wire::hello &said) {
  if (said.role != wire::client_role::node || said.resume != session_id{}) return;
  const bool elsewhere = said.boot != self_.where().boot;
  const bool visible =
      !elsewhere && find_process(world_, self_.where(), said.pid, said.process_start) != nullptr;
  if (visible) return;
  sometimes(probe::hello_of_an_invisible_process);
  if (!elsewhere || !election_.can_split()) said.io_ends_with_process = false;  // here are no agents
  if (setup_.on_unprovable) setup_.on_unprovable();
}

void server_process::watch(const core::watch_process &whom, std::function<void(session_id)> died) {
  died_ = std::move(died);
  const bool of_another_kernel = whom.boot != self_.where().boot;
  if (of_another_kernel && (election_.can_split() || whom.node != self_.where().name())) return;
  const std::uint64_t number = ++last_watch_;
  watched_[whom.session] = number;
  const auto report = [this, session = whom.session, number] {
    box_.post([this, session, number] {
      const auto found = watched_.find(session);
      if (found == watched_.end() || found->second != number) return;
      watched_.erase(found);
      sometimes(probe::death_proved);
      died_(session);
    });
  };
  sometimes(probe::session_of_an_earlier_boot, of_another_kernel);
  if (of_another_kernel) return report();
  process *const client = find_process(world_, self_.where(), whom.pid, whom.process_start);
  if (client == nullptr) return report();
  const auto later = [this, report] { world_.after(microsecond, &self_, report); };
  if (setup_.death_before_io_ends) client->at_death.push_back(later);
  else client->when_gone.push_back(later);
}

void server_process::unwatch(session_id session) { watched_.erase(session); }

void server_process::log(server::log_level, const std::string &text) {
  world_.say("%s: %s", self_.name().c_str(), text.c_str());
  if (engine_ != nullptr && setup_.on_log) setup_.on_log(*engine_, text);
}

void server_process::stop_at_once(const std::string &what, const error &why) {
  world_.say("%s stops: %s: %s", self_.name().c_str(), what.c_str(), why.text.c_str());
  sometimes(probe::server_stopped_at_once);
  if (setup_.on_stop) setup_.on_stop(why);
  self_.kill();
  world_.park();
}

}  // namespace csnap::simulation
