// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/judge.h"

#include "tests/simulation/probes.h"

#include <algorithm>

namespace csnap::simulation {

judge::judge(world &w, std::vector<const disk_image *> origins, std::uint64_t sectors,
             std::uint32_t chunk_bytes)
    : world_(w), origins_(std::move(origins)), chunk_bytes_(chunk_bytes) {
  for (std::uint32_t v = 1; v <= origins_.size(); ++v)
    histories_.push_back(std::make_unique<sector_history>(v, sectors));
}

void judge::wrong(const std::string &checker, const std::string &text) {
  if (failed()) return;
  world_.say("WRONG (%s): %s", checker.c_str(), text.c_str());
  checker_ = checker;
  text_ = text;
}

// ---- what snapshots hold ----

void judge::capture(volume_id volume, const epoch_id &epoch) {
  if (epoch.number.value == 0) return;
  const auto key = std::pair(volume.value, epoch.number.value);
  const auto found = truths_.find(key);
  if (found != truths_.end() && (found->second.nonce == epoch.nonce || epoch.nonce == 0)) return;
  world_.say("snapshot %llu of volume %u is what the origin holds now",
             static_cast<unsigned long long>(epoch.number.value), volume.value);
  // Nobody was told of it before; if somebody was told of a later one, nobody wrote in between.
  const auto later = truths_.upper_bound(key);
  const bool has_later = later != truths_.end() && later->first.first == volume.value;
  if (has_later && found == truths_.end()) {
    sometimes(probe::snapshot_known_late);
    truths_.emplace(key, truth{later->second.content, epoch.nonce});
  } else {
    truths_.insert_or_assign(key, truth{*origins_[volume.value - 1], epoch.nonce});
  }
}

// While a barrier is on nobody writes, and who is told an epoch may write from then on.
void judge::server_says(const wire::envelope &what) {
  if (const auto *t = std::get_if<wire::thaw>(&what.body))
    for (const auto &v : t->volumes) capture(v.volume, v.epoch);
  if (const auto *o = std::get_if<wire::volume_opened>(&what.body); o && o->barrier.value == 0)
    capture(o->id, o->epoch);
  if (const auto *o = std::get_if<wire::snapshot_opened>(&what.body)) capture(o->id, {o->number, 0});
}

void judge::snapshot_is_known(volume_id volume, snapshot_number number) { capture(volume, {number, 0}); }

void judge::snapshot_read(volume_id volume, snapshot_number number, std::uint64_t offset,
                          std::span<const std::byte> bytes) {
  ++count.snapshot_reads;
  const auto found = truths_.find({volume.value, number.value});
  if (found == truths_.end()) return wrong("frozen", "a snapshot is read that no server has spoken of");
  std::vector<std::byte> wanted(bytes.size());
  found->second.content.read(offset, wanted);
  for (std::size_t at = 0; at < bytes.size(); at += sector_bytes) {
    if (std::memcmp(bytes.data() + at, wanted.data() + at, sector_bytes) == 0) continue;
    const std::uint64_t sector = (offset + at) / sector_bytes;
    const auto got = read_stamp(bytes.data() + at, volume.value, sector);
    const auto held = read_stamp(wanted.data() + at, volume.value, sector);
    return wrong("frozen",
                 "sector " + std::to_string(sector) + " of snapshot " + std::to_string(number.value) +
                     " of volume " + std::to_string(volume.value) + " reads " +
                     (got ? "write " + std::to_string(*got) : std::string("torn or foreign")) + ", not " +
                     (held ? "write " + std::to_string(*held) : std::string("what was torn there")));
  }
}

bool judge::chunk_is_zero(volume_id volume, snapshot_number number, std::uint64_t chunk) const {
  const auto found = truths_.find({volume.value, number.value});
  if (found == truths_.end()) return false;
  const auto &image = found->second.content;
  std::vector<std::byte> bytes(
      std::min<std::uint64_t>(chunk_bytes_, image.size_bytes() - chunk * chunk_bytes_));
  image.read(chunk * chunk_bytes_, bytes);
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

bool judge::chunk_differs(volume_id volume, snapshot_number older, snapshot_number newer,
                          std::uint64_t chunk) const {
  const auto a = truths_.find({volume.value, older.value}), b = truths_.find({volume.value, newer.value});
  if (a == truths_.end() || b == truths_.end()) return false;
  const std::uint64_t length =
      std::min<std::uint64_t>(chunk_bytes_, a->second.content.size_bytes() - chunk * chunk_bytes_);
  std::vector<std::byte> one(length), other(length);
  a->second.content.read(chunk * chunk_bytes_, one);
  b->second.content.read(chunk * chunk_bytes_, other);
  return one != other;
}

void judge::power_cut(nanoseconds now) {
  for (std::size_t v = 0; v < histories_.size(); ++v)
    if (const auto why = histories_[v]->power_cut(*origins_[v], now); !why.empty()) wrong("durable", why);
}

// ---- the catalog ----

bool judge::may_be_gone(volume_id volume, snapshot_number number) const {
  return std::any_of(names.begin(), names.end(), [&](const auto &n) {
    return n.first.first == volume.value && (n.second.number == number || n.second.number.value == 0) &&
           (n.second.is_going || n.second.exists != existence::yes);
  });
}

bool judge::surely_waits_for_room(volume_id volume) const {
  const auto found = policies.find(volume.value);
  return found != policies.end() && found->second == std::set{full_policy::snapshot_first};
}

void judge::note_what_may_be_given_up() {
  for (auto &[key, known] : names) {
    const auto policy = policies.find(key.first);
    if (policy != policies.end() && policy->second.contains(full_policy::origin_first) &&
        known.is_held != known_snapshot::held::yes)
      known.may_be_given_up = true;
  }
}

void judge::listed(const std::vector<wire::snapshot_entry> &all) {
  std::map<std::pair<std::uint32_t, std::string>, snapshot_number> found;
  for (const auto &entry : all) {
    const auto known = names.find({entry.volume.value, entry.name});
    if (entry.sacrificed && known != names.end() && !known->second.may_be_given_up)
      return wrong("given up", "snapshot " + entry.name + " is given up, and may not be");
    if (entry.state != 1) continue;  // dying: its name is free
    if (!found.emplace(std::pair(entry.volume.value, entry.name), entry.number).second)
      return wrong("catalog", "two snapshots named " + entry.name);
  }
  for (const auto &[name, known] : names) {
    const auto at = found.find(name);
    if (known.exists == existence::yes && at == found.end() && known.may_be_given_up) continue;
    if (known.exists == existence::yes && at == found.end())
      return wrong("catalog", "snapshot " + name.second + " was made and is not there");
    if (known.exists == existence::no && at != found.end())
      return wrong("catalog", "snapshot " + name.second + " is there, but should not be");
    if (known.exists == existence::yes && known.number.value != 0 && at->second != known.number)
      return wrong("catalog", "snapshot " + name.second + " has another number than it was given");
  }
  for (const auto &[name, number] : found)
    if (!names.contains(name)) return wrong("catalog", "snapshot " + name.second + " was never made");
}

}  // namespace csnap::simulation
