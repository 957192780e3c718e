// SPDX-License-Identifier: BSD-3-Clause
//
// What administrators say about volumes and snapshots: policies, priorities, holds.
#include "metaserver/core/server_impl.h"

#include "metaserver/base/names.h"

#include <algorithm>

namespace csnap::core {

namespace {

std::string full_name(const wire::snapshot_pair &name) {
  return "snapshot '" + name.volume + "@" + name.snapshot + "'";
}

}  // namespace

std::optional<snapshot_key> server_core::impl::named_or_refused(const requester &who,
                                                                const wire::snapshot_pair &name) {
  const auto key = find_named(name);
  if (key) return *key;
  refuse(who, key.error().code, key.error().text);
  return std::nullopt;
}

void server_core::impl::change(const requester &who, const store::record &r) {
  const auto seq = append(r);
  if (!seq) return refuse(who, seq.error().code, seq.error().text);
  answer_when_durable(who, *seq, wire::done{});
}

void server_core::impl::on(const requester &who, const wire::set_volume &m) {
  if (was_done(m.request)) return answer_durably(who, wire::done{});
  const auto *volume = engine_.find_volume(m.volume);
  if (!volume) return refuse(who, errc::not_found, "no volume '" + m.volume + "' in this store");
  change(who, store::volume_changed{m.request, volume->id, m.when_full});
  room_.has_called_back = false;  // who waits may now wait for something else
  if (m.when_full != full_policy::error) return;
  std::erase_if(room_.all(), [&](const waiting_request &w) {
    if (w.volume != volume->id) return false;
    refuse(w.who, errc::no_space, "the snapshot store is full");
    return true;
  });
}

void server_core::impl::on(const requester &who, const wire::set_snapshot &m) {
  if (was_done(m.request)) return answer_durably(who, wire::done{});
  const auto key = named_or_refused(who, m.snapshot);
  if (!key) return;
  change(who,
         store::snapshot_changed{m.request, key->first, key->second, static_cast<std::int32_t>(m.priority)});
}

void server_core::impl::on(const requester &who, const wire::hold &m) {
  if (was_done(m.request)) return answer_durably(who, wire::done{});
  if (!is_valid_tag(m.tag))
    return refuse(who, errc::invalid,
                  "a hold's tag is a name of at most " + std::to_string(tag_length_max) + " characters");
  const auto key = named_or_refused(who, m.snapshot);
  if (!key) return;
  const auto &tags = live_snapshot(key->first, key->second)->holds;
  if (std::find(tags.begin(), tags.end(), m.tag) != tags.end())
    return refuse(who, errc::exists, full_name(m.snapshot) + " is held by '" + m.tag + "' already");
  if (tags.size() >= holds_max)
    return refuse(
        who, errc::refused,
        full_name(m.snapshot) + " has " + std::to_string(holds_max) + " holds, and can have no more");
  change(who, store::snapshot_held{m.request, key->first, key->second, m.tag});
}

void server_core::impl::on(const requester &who, const wire::release &m) {
  if (was_done(m.request)) return answer_durably(who, wire::done{});
  const auto key = named_or_refused(who, m.snapshot);
  if (!key) return;
  const auto &tags = live_snapshot(key->first, key->second)->holds;
  if (std::find(tags.begin(), tags.end(), m.tag) == tags.end())
    return refuse(who, errc::not_found, full_name(m.snapshot) + " is not held by '" + m.tag + "'");
  change(who, store::snapshot_released{m.request, key->first, key->second, m.tag});
}

}  // namespace csnap::core
