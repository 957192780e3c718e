// SPDX-License-Identifier: BSD-3-Clause
#include "agent/server_probe.h"

#include "metaserver/wire/frame.h"

namespace csnap::agent {

server_probe::server_probe(boost::asio::io_context &io, const client::endpoint &where, events e)
    : events_(std::move(e)),
      link_(std::make_shared<client::link>(
          io, client::link::events{[this] { say_hello(); },
                                   [this](const wire::envelope &what) { received(what); }, [] {},
                                   [this](const error &why) { events_.failed(why); }})) {
  link_->open(where);
}

void server_probe::say_hello() {
  const auto self = client::describe_this_process();
  wire::hello hello;
  hello.node = self.node;
  hello.boot = self.boot;
  hello.pid = self.pid;
  hello.process_start = self.process_start;
  hello.secret = self.secret;
  link_->send({wire::encode_frame({++last_request_, {}, hello})});
}

// A volume that no store has: the master refuses it in a few bytes, whatever the store holds.
void server_probe::ping() {
  wire::list request;
  request.volume = "-";
  link_->send({wire::encode_frame({++last_request_, {}, request})});
}

// The owner may close this probe in a callback: nothing follows one.
void server_probe::received(const wire::envelope &what) {
  const auto *no = std::get_if<wire::failed>(&what.body);
  if (no != nullptr && (no->code == errc::not_master || no->code == errc::shutting_down))
    return events_.refused(no->address);
  if (is_welcome_) return events_.pinged(what.term);
  const auto *yes = std::get_if<wire::welcome>(&what.body);
  if (yes == nullptr)
    return events_.failed(
        fail(errc::invalid, no != nullptr ? no->text : "the server did not answer the hello"));
  is_welcome_ = true;
  events_.welcomed(yes->store, what.term);
}

}  // namespace csnap::agent
