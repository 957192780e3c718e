// SPDX-License-Identifier: BSD-3-Clause
#include "agent/server_probe.h"

#include "agent/log.h"
#include "metaserver/client/process_end.h"
#include "metaserver/wire/frame.h"

#include <string>
#include <utility>

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
  space_ = self.boot;
  say(hello);
}

void server_probe::say(wire::message what) {
  link_->send({wire::encode_frame({++last_request_, {}, std::move(what)})});
}

// Where we see no processes: a volume that no store has, which the master refuses in a few bytes.
void server_probe::ping() {
  if (space_ != unique_id{}) return say(wire::processes{space_});
  wire::list request;
  request.volume = "-";
  say(request);
}

// If the word is lost, or its record, the next ping names them again.
void server_probe::tell_who_ended(const wire::process_list &missing) {
  wire::processes_ended word{space_, {}};
  std::string pids;
  for (const wire::process_entry &each : missing.entries) {
    if (!client::has_ended(each.pid, each.process_start)) continue;
    word.entries.push_back(each);
    pids += " " + std::to_string(each.pid);
  }
  if (word.entries.empty()) return;
  log(urgency::info, "the master is told that processes have ended:" + pids);
  say(word);
}

// The owner may close this probe in a callback: nothing follows one.
void server_probe::received(const wire::envelope &what) {
  const auto *no = std::get_if<wire::failed>(&what.body);
  if (no != nullptr && (no->code == errc::not_master || no->code == errc::shutting_down))
    return events_.refused(no->address);
  if (is_welcome_) {
    if (std::holds_alternative<wire::done>(what.body)) return;  // a word was taken
    if (const auto *missing = std::get_if<wire::process_list>(&what.body)) tell_who_ended(*missing);
    return events_.pinged(what.term);
  }
  const auto *yes = std::get_if<wire::welcome>(&what.body);
  if (yes == nullptr)
    return events_.failed(
        fail(errc::invalid, no != nullptr ? no->text : "the server did not answer the hello"));
  is_welcome_ = true;
  events_.welcomed(yes->store, what.term);
}

}  // namespace csnap::agent
