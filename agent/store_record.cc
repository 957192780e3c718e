// SPDX-License-Identifier: BSD-3-Clause
#include "agent/store_record.h"

#include "metaserver/device/open_device.h"
#include "metaserver/store/offline.h"

#include <boost/asio/post.hpp>

namespace csnap::agent {

void store_record::look() {
  if (is_reading_) return;  // its answer is late; it comes
  is_reading_ = true;
  boost::asio::post(reader_,
                    [this] { boost::asio::post(io_, [this, what = read(device_)] { has_read(what); }); });
}

result<store_record::record> store_record::read(const std::string &device) {
  const auto opened = open_device(device, {.read_only = true});
  if (!opened) return opened.error();
  const auto label = store::read_label(**opened);
  if (!label) return fail(label.error().code, device + ": " + label.error().text);
  if (label->role == store::device_role::data)
    return fail(errc::invalid, device + " holds a store's data only: name its metadata device");
  const auto master = store::read_master(**opened, label->shape);
  if (!master) return fail(master.error().code, device + ": " + master.error().text);
  return record{label->shape.store, {master->term, master->address}};
}

void store_record::has_read(const result<record> &what) {
  is_reading_ = false;
  trouble_ = what ? std::string() : what.error().text;
  if (!what) return heard_({});
  seen_(what->store);
  heard_({what->newest});
}

}  // namespace csnap::agent
