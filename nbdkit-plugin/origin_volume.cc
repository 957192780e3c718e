// SPDX-License-Identifier: BSD-3-Clause
#include "nbdkit-plugin/origin_volume.h"

#include <chrono>

namespace csnap::plugin {

result<> origin_volume::write(runtime_client &client, chunk_store &store, planted_mistakes planted,
                              const std::function<result<>(origin_io &)> &op) {
  if (!is_open_)
    if (auto r = ensure_open(client, store, planted); !r) return r;
  const auto outcome = op(writer_->io);
  if (!outcome && outcome.error().code == errc::gone) is_open_ = false;
  return outcome;
}

result<> origin_volume::ensure_open(runtime_client &client, chunk_store &store, planted_mistakes planted) {
  std::unique_lock lock(opening_, std::defer_lock);
  while (!lock.try_lock_for(std::chrono::milliseconds(100)))
    if (client.interrupted())
      return fail(errc::shutting_down, "interrupted while opening volume " + setup_.name);
  if (is_open_) return {};
  const auto opened = client.open_volume(setup_.name);
  if (!opened) return opened.error();
  if (opened->id != setup_.id || opened->size_bytes != setup_.size_bytes)
    return fail(errc::refused,
                "volume " + setup_.name + " is not what it was when this nbdkit started: restart it");
  if (!writer_) writer_ = std::make_unique<writer>(setup_, store, client, planted);
  is_open_ = true;
  return {};
}

bool origin_volume::stop() {
  is_open_ = false;
  const bool was_written = writer_ != nullptr;
  writer_.reset();
  return was_written;
}

}  // namespace csnap::plugin
