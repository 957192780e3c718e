// SPDX-License-Identifier: BSD-3-Clause
#include "nbdkit-plugin/export_open.h"

#include "nbdkit-plugin/difference_io.h"
#include "nbdkit-plugin/node.h"
#include "nbdkit-plugin/snapshot_io.h"

namespace csnap::plugin {

result<> open_export::write(std::uint64_t, std::span<const std::byte>, durability) {
  unreachable("write, read-only");
}
result<> open_export::zero(std::uint64_t, std::uint64_t, bool, durability) { unreachable("zero, read-only"); }
result<> open_export::trim(std::uint64_t, std::uint64_t, durability) { unreachable("trim, read-only"); }

namespace {

class origin_export final : public open_export {
 public:
  origin_export(node &owner, origin_volume &volume, bool writable)
      : owner_(owner), volume_(volume), writable_(writable) {}

  std::uint64_t size_bytes() const override { return volume_.size_bytes(); }
  bool is_writable() const override { return writable_; }
  std::string description() override { return owner_.describe(volume_); }
  result<> read(std::uint64_t offset, std::span<std::byte> into) override {
    return volume_.device().read(offset, into);
  }
  result<std::vector<export_extent>> extents(std::uint64_t offset, std::uint64_t length, bool) override {
    return std::vector<export_extent>{{offset, length, extent_data}};
  }
  result<> write(std::uint64_t offset, std::span<const std::byte> from, durability how) override {
    return owner_.write(volume_, [&](origin_io &io) { return io.write(offset, from, how); });
  }
  result<> zero(std::uint64_t offset, std::uint64_t length, bool may_unmap, durability how) override {
    return owner_.write(volume_, [&](origin_io &io) { return io.zero(offset, length, may_unmap, how); });
  }
  result<> trim(std::uint64_t offset, std::uint64_t length, durability how) override {
    return owner_.write(volume_, [&](origin_io &io) { return io.trim(offset, length, how); });
  }
  // The store needs none: a copy was made durable before it was committed, and a commit before it was
  // answered.
  result<> flush() override { return volume_.device().flush(); }

 private:
  node &owner_;
  origin_volume &volume_;
  const bool writable_;
};

// Holds a snapshot open at the server, so that it is told when the snapshot goes.
class snapshot_hold {
 public:
  snapshot_hold(runtime_client &client, wire::snapshot_opened what)
      : client_(client), what_(std::move(what)) {}
  ~snapshot_hold() { client_.close_snapshot(what_.id, what_.number); }
  snapshot_hold(const snapshot_hold &) = delete;
  snapshot_hold &operator=(const snapshot_hold &) = delete;
  const wire::snapshot_opened &what() const { return what_; }

 private:
  runtime_client &client_;
  const wire::snapshot_opened what_;
};
using hold_ptr = std::unique_ptr<snapshot_hold>;

class snapshot_export : public open_export {
 public:
  snapshot_export(node &owner, origin_volume &volume, hold_ptr hold)
      : volume_(volume),
        hold_(std::move(hold)),
        io_({hold_->what().id, hold_->what().number, hold_->what().size_bytes}, volume.device(),
            owner.store(), owner.client()) {}

  std::uint64_t size_bytes() const override { return hold_->what().size_bytes; }
  std::string description() override {
    return describe_snapshot(volume_.name(), hold_->what().number, hold_->what().created_unix_ms);
  }
  result<> read(std::uint64_t offset, std::span<std::byte> into) override { return io_.read(offset, into); }
  result<std::vector<export_extent>> extents(std::uint64_t offset, std::uint64_t length, bool one) override {
    return io_.extents(offset, length, one);
  }

 protected:
  const wire::snapshot_opened &opened() const { return hold_->what(); }

 private:
  origin_volume &volume_;
  hold_ptr hold_;
  snapshot_io io_;
};

// Reads as the newer snapshot; the older one is held too, for without it the difference would mean nothing.
class difference_export final : public snapshot_export {
 public:
  difference_export(node &owner, origin_volume &volume, hold_ptr older, hold_ptr newer)
      : snapshot_export(owner, volume, std::move(newer)),
        older_(std::move(older)),
        difference_({opened().id, older_->what().number, opened().number, opened().size_bytes},
                    owner.store().chunk_bytes(), owner.client()) {}
  std::string description() override {
    return snapshot_export::description() + ", difference to snapshot " +
           std::to_string(older_->what().number.value);
  }
  result<std::vector<export_extent>> extents(std::uint64_t offset, std::uint64_t length, bool one) override {
    return difference_.extents(offset, length, one);
  }

 private:
  hold_ptr older_;
  difference_io difference_;
};

result<hold_ptr> hold_snapshot(node &owner, const origin_volume &volume, const std::string &snapshot) {
  auto opened = owner.client().open_snapshot(volume.name(), snapshot);
  if (!opened) return opened.error();
  auto hold = std::make_unique<snapshot_hold>(owner.client(), std::move(*opened));
  if (hold->what().id != volume.id())
    return fail(errc::refused,
                "volume " + volume.name() + " is not what it was when this nbdkit started: restart it");
  return hold;
}

result<std::unique_ptr<open_export>> open_difference(node &owner, origin_volume &volume,
                                                     const export_name &parts) {
  auto older = hold_snapshot(owner, volume, parts.since);
  if (!older) return older.error();
  auto newer = hold_snapshot(owner, volume, parts.snapshot);
  if (!newer) return newer.error();
  if ((*older)->what().number > (*newer)->what().number)
    return fail(errc::invalid, "snapshot " + parts.since + " is newer than " + parts.snapshot + ": ask for " +
                                   parts.volume + "@" + parts.snapshot + ".." + parts.since);
  return std::unique_ptr<open_export>(
      new difference_export(owner, volume, std::move(*older), std::move(*newer)));
}

}  // namespace

result<std::unique_ptr<open_export>> open_by_name(node &owner, std::string_view name, bool read_only) {
  if (name.ends_with(".."))
    return fail(errc::unsupported,
                "the difference to the present is not offered, since it changes while it is read: "
                "create a snapshot and ask for VOLUME@OLDER..NEWER");
  const auto parts = parse_export_name(name);
  if (!parts) return parts.error();
  origin_volume *volume = owner.find_volume(parts->volume);
  if (volume == nullptr) return fail(errc::not_found, "there is no volume '" + parts->volume + "'");
  if (parts->is_origin()) return std::unique_ptr<open_export>(new origin_export(owner, *volume, !read_only));
  if (auto r = owner.verify_store(); !r) return r.error();
  if (parts->is_difference()) return open_difference(owner, *volume, *parts);
  auto hold = hold_snapshot(owner, *volume, parts->snapshot);
  if (!hold) return hold.error();
  return std::unique_ptr<open_export>(new snapshot_export(owner, *volume, std::move(*hold)));
}

}  // namespace csnap::plugin
