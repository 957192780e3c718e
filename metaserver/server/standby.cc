// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/standby.h"

#include <utility>

namespace csnap::server {
namespace {

constexpr std::int64_t look_interval_ms = 1000;

}  // namespace

std::optional<wire::envelope> standby::answer(const wire::envelope &what, boottime_ms now) {
  if (what.request == 0) return std::nullopt;
  look_at_store(now);
  wire::failed refusal;
  refusal.code = errc::not_master;
  refusal.address = master_.address == own_address_ ? std::string() : master_.address;
  refusal.text = refusal.address.empty() ? "this server is a standby, and no master is known"
                                         : "this server is a standby; the master is at " + refusal.address;
  wire::envelope out;
  out.request = what.request;
  out.term = master_.term;  // a client that has seen this term would ignore a lower one
  out.body = std::move(refusal);
  return out;
}

void standby::look_at_store(boottime_ms now) {
  if (looked_ && now.value - looked_->value < look_interval_ms) return;
  looked_ = now;
  // What cannot be read is no reason to fail here: the last known address is as good a hint as any.
  if (auto read = store::read_master(metadata_, shape_)) learn(std::move(*read));
}

void standby::learn(store::master_record known) {
  if (known.term < master_.term) return;
  master_ = std::move(known);
  if (master_.address.size() > wire::address_max) master_.address.clear();
}

}  // namespace csnap::server
