// SPDX-License-Identifier: BSD-3-Clause
//
// Connections come and go, sessions rarely. A new connection resumes the session: delegations are voided, the
// hello goes out, then everything that is open is opened again, then every unanswered request follows as it
// was. A session that the server does not know any more is replaced by a new one: what it had is lost.
#include "metaserver/client/client_machine.h"
#include "metaserver/client/machine_state.h"

namespace csnap::client {

void client_machine::impl::drop_own_requests() {
  requests.connection_lost();
  pool.forget_asked();
  hello_id = renewal_id = 0;
  outgoing.clear();
}

void client_machine::connected(boottime_ms now) {
  impl_->drop_own_requests();
  impl_->gates.connection_lost(impl_->session.lease_until());
  impl_->snapshots.void_delegations();
  impl_->say_hello(now);
  impl_->lease_may_have_changed();
  ++impl_->changes;
}

void client_machine::impl::say_hello(boottime_ms now) {
  wire::hello h;
  h.role = wire::client_role::node;
  h.resume = session.session();
  h.secret = options.secret;
  h.node = options.node.substr(0, wire::node_name_max);
  h.boot = options.boot;
  h.pid = options.pid;
  h.process_start = options.process_start;
  h.io_ends_with_process = options.io_ends_with_process;
  hello_id = requests.next_wire_id();
  emit(hello_id, h);
  session.hello_sent(now);
}

void client_machine::disconnected(boottime_ms) {
  if (impl_->planted.client_decides)
    impl_->requests.for_each([&](const pending_request &r) {
      if (r.why == purpose::commit)
        for (const wire::commit_entry &e : std::get<wire::commit>(r.what).entries)
          impl_->pool.put_back(std::array{reserved_chunk{e.reservation, e.place}});
    });
  impl_->drop_own_requests();
  impl_->gates.connection_lost(impl_->session.lease_until());
  impl_->session.lost();
  impl_->lease_may_have_changed();
  ++impl_->changes;
}

result<> client_machine::impl::greeted(const wire::envelope &what, boottime_ms now, std::string *hint) {
  if (what.request != hello_id) return fail(errc::invalid, "the server said something before its welcome");
  if (const auto *f = std::get_if<wire::failed>(&what.body)) {
    // A standby, or a master that was, has no say about the session; it may know who has.
    if (f->code != errc::not_master && what.term < session.term())
      return fail(errc::stale, "the server's term " + to_text(what.term) + " is over");
    if (f->code == errc::gone) begin_new_session();
    return refuse(*f, hint);
  }
  const auto *w = std::get_if<wire::welcome>(&what.body);
  if (w == nullptr) return fail(errc::invalid, "the server did not answer the hello");
  if (const auto r = session.welcomed(*w, what.term, now); !r) return r.error();
  hello_id = 0;
  snapshots.welcomed();
  if (!leaving) reopen_everything();
  ++changes;
  return {};
}

// The connection is of no use any more. Its requests stay and are sent again on the next one.
result<> client_machine::impl::refuse(const wire::failed &f, std::string *hint) {
  if (f.code == errc::not_master && hint != nullptr) *hint = f.address;
  return fail(f.code, f.text.empty() ? errc_name(f.code) : f.text);
}

void client_machine::impl::reopen_everything() {
  // A close that was not answered must not follow an open that is still wanted.
  (void)requests.take_all([&](const pending_request &r) {
    if (r.why != purpose::close) return false;
    if (const auto *v = std::get_if<wire::close_volume>(&r.what)) return gates.find(v->id) != nullptr;
    const auto &s = std::get<wire::close_snapshot>(r.what);
    return snapshots.find(s.id, s.number) != nullptr;
  });
  std::vector<pending_request> again;
  gates.for_each([&](write_gate &gate) {
    if (gate.is_gone()) return;
    // By id while the session lives; a new session may be of a restored store, where only the name means it.
    wire::open_volume o;
    if (gate.is_of_lost_session()) o.name = gate.name();
    else o.id = gate.id();
    again.push_back({purpose::reopen_volume, o, gate.id(), false});
  });
  snapshots.for_each([&](volume_id volume, snapshot_number number, const open_snapshots::handle &h) {
    if (!h.gone)
      again.push_back({purpose::reopen_snapshot, wire::open_snapshot{{}, {}, volume, number}, volume, false});
  });
  requests.add_first(std::move(again));
}

void client_machine::impl::begin_new_session() {
  session.forget();
  gates.session_lost();
  pool.reset();
  snapshots.void_delegations();
  const wire::failed gone{errc::gone, "the session has expired", {}};
  for (auto &[t, r] : requests.take_all([](const pending_request &p) { return p.why == purpose::commit; }))
    if (!r.abandoned) requests.keep_answer(t, gone);
  (void)requests.take_all(
      [](const pending_request &p) { return p.why == purpose::close || p.why == purpose::give_back; });
  for (auto &[t, r] : requests.take_all([](const pending_request &p) { return p.why == purpose::goodbye; }))
    requests.keep_answer(t, wire::done{});
  ++changes;
}

}  // namespace csnap::client
