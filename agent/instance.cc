// SPDX-License-Identifier: BSD-3-Clause
#include "agent/instance.h"

#include "agent/log.h"
#include "agent/static_list.h"
#include "agent/store_record.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace csnap::agent {

namespace {

constexpr std::size_t sources_count = 3;

std::vector<std::string> texts(const std::vector<client::endpoint> &servers) {
  std::vector<std::string> out;
  for (const auto &each : servers) out.push_back(each.text());
  return out;
}

}  // namespace

instance::instance(boost::asio::io_context &io, instance_options options, std::function<void()> changed)
    : io_(io),
      options_(std::move(options)),
      changed_(std::move(changed)),
      search_(sources_count),
      timer_(io),
      server_(io, options_.name, options_.command, options_.lock_file) {
  auto engine = std::make_unique<announcements>(io);
  announced_ = engine.get();
  sources_.push_back(std::move(engine));
  if (options_.device.empty())
    sources_.push_back(std::make_unique<static_list>(io, std::vector<std::string>{}));
  else
    sources_.push_back(std::make_unique<store_record>(io, options_.device,
                                                      [this](const unique_id &store) { store_seen(store); }));
  sources_.push_back(std::make_unique<static_list>(io, texts(options_.servers)));
  for (std::size_t i = 0; i < sources_.size(); ++i)
    sources_[i]->start([this, i](std::vector<master_at> all) { heard(i, std::move(all)); });
  boost::asio::post(io_, [this] { input([](master_search &s, boottime_ms now) { s.tick(now); }); });
}

std::string instance::trouble() const {
  if (master()) return {};
  for (const auto &each : sources_)
    if (const std::string why = each->trouble(); !why.empty()) return why;
  return probe_trouble_;
}

// A device that another store was put on: what was known is of the old one.
void instance::store_seen(const unique_id &store) {
  if (store_ == store) return;
  if (store_) {
    log(urgency::warning, "instance " + name() + " is store " + to_text(store) + " now");
    drop_probe();
    search_ = master_search(sources_count);
  }
  store_ = store;
  changed_();
  input([](master_search &s, boottime_ms now) { s.tick(now); });
}

void instance::heard(std::size_t source, std::vector<master_at> candidates) {
  // What cannot be connected to is nobody's address: a server without one leaves none.
  std::erase_if(candidates, [](const master_at &each) {
    return !each.address.empty() && !client::parse_endpoint(each.address).has_value();
  });
  input([&](master_search &s, boottime_ms now) { s.heard(source, std::move(candidates), now); });
}

// Everything that the search learns comes through here.
void instance::input(const std::function<void(master_search &, boottime_ms)> &what) {
  const auto before = search_.master();
  what(search_, client::boottime_now());
  for (const auto &order : search_.take_orders()) carry_out(order);
  arm_timer();
  if (search_.master() == before) return;
  if (const auto &now = search_.master())
    log(urgency::info, "instance " + name() + ": master at " + now->address + ", term " + to_text(now->term));
  else log(urgency::info, "instance " + name() + ": the master is gone");
  changed_();
}

void instance::carry_out(const master_search::order &what) {
  if (const auto *look = std::get_if<master_search::look>(&what)) sources_[look->source]->look();
  else if (const auto *probe = std::get_if<master_search::probe>(&what)) open_probe(probe->address);
  else if (std::holds_alternative<master_search::hang_up>(what)) drop_probe();
  else if (probe_) probe_->ping();
}

void instance::open_probe(const std::string &address) {
  drop_probe();
  const auto failed = [this](const error &why) {
    probe_trouble_ = why.text;
    input([](master_search &s, boottime_ms now) { s.failed(now); });
  };
  const auto where = client::parse_endpoint(address);
  if (!where) {  // a hint of a server
    const error why = where.error();
    boost::asio::post(io_, [failed, why] { failed(why); });
    return;
  }
  server_probe::events events;
  events.failed = failed;
  events.pinged = [this](term_id term) {
    input([&](master_search &s, boottime_ms now) { s.answered(term, now); });
  };
  events.refused = [this, address](const std::string &hint) {
    probe_trouble_ = address + " is not the master";
    input([&](master_search &s, boottime_ms now) { s.refused(hint, now); });
  };
  events.welcomed = [this, address, failed](const unique_id &store, term_id term) {
    const bool is_ours = !store_ || *store_ == store || options_.device.empty();
    if (!is_ours) return failed(fail(errc::refused, address + " serves another store, " + to_text(store)));
    if (options_.device.empty()) store_seen(store);
    input([&](master_search &s, boottime_ms now) { s.answered(term, now); });
  };
  probe_ = std::make_shared<server_probe>(io_, *where, std::move(events));
}

// Perhaps from within one of its callbacks, so it lives on until that has returned.
void instance::drop_probe() {
  if (!probe_) return;
  probe_->close();
  boost::asio::post(io_, [old = std::exchange(probe_, nullptr)] {});
}

void instance::arm_timer() {
  const boottime_ms now = client::boottime_now();
  const auto wait = std::max<std::int64_t>(search_.next_tick(now).value - now.value, 1);
  timer_.expires_after(std::chrono::milliseconds(wait));
  timer_.async_wait([this](const boost::system::error_code &cancelled) {
    if (!cancelled) input([](master_search &s, boottime_ms at) { s.tick(at); });
  });
}

}  // namespace csnap::agent
