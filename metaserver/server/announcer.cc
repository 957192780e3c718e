// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/announcer.h"

#include "metaserver/server/log.h"

#include <chrono>
#include <utility>

namespace csnap::server {

announcer::announcer(boost::asio::io_context &io, std::string agent_path, wire::agent::announce word)
    : io_(io), agent_path_(std::move(agent_path)), word_(std::move(word)), retry_(io) {
  say();
}

announcer::~announcer() {
  if (stream_) stream_->close();
  (void)retry_.cancel();
}

void announcer::say() {
  stream_ = std::make_shared<client::agent_stream>(
      io_, client::agent_stream::events{[this](const wire::agent::message &answer) {
                                          const auto *no = std::get_if<wire::agent::refused>(&answer);
                                          if (no == nullptr) return;
                                          if (!std::exchange(has_complained_, true))
                                            log(log_level::warning,
                                                "the agent does not take our word: " + no->text);
                                          stream_->close();
                                          say_later();
                                        },
                                        [this](const error &why) {
                                          if (!std::exchange(has_complained_, true))
                                            log(log_level::warning, "no word to the agent: " + why.text);
                                          say_later();
                                        }});
  stream_->connect(agent_path_);
  stream_->send(word_);
}

void announcer::say_later() {
  retry_.expires_after(std::chrono::seconds(1));
  // A wait that is over cannot be cancelled any more: its handler may run when this object is gone.
  retry_.async_wait([this, alive = std::weak_ptr<bool>(alive_)](const boost::system::error_code &cancelled) {
    if (!cancelled && !alive.expired()) say();
  });
}

}  // namespace csnap::server
