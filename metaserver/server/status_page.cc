// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/status_page.h"

#include "metaserver/server/metrics_text.h"

#include <nlohmann/json.hpp>

namespace csnap::server {
namespace {

// One page, nothing from elsewhere: it must work where there is no other network than the cluster's.
constexpr const char *page_html = R"html(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>csnap</title>
<style>
:root { color-scheme: light dark; --line: #8886; --used: #2a6fdb; --kept: #d98a1f; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1 { font-size: 1.3rem; margin: 0 0 .5rem; } h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; } th, td { border-bottom: 1px solid var(--line); padding: .3rem .5rem;
  text-align: left; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
.bar { display: flex; height: 1.2rem; border: 1px solid var(--line); border-radius: .3rem; overflow: hidden; }
.bar span:nth-child(1) { background: var(--used); } .bar span:nth-child(2) { background: var(--kept); }
.line { position: relative; height: 1.4rem; border-bottom: 2px solid var(--line); margin: .2rem .4rem 1rem; }
.line i { position: absolute; bottom: -.35rem; width: .6rem; height: .6rem; border-radius: 50%; background: var(--used);
  transform: translateX(-50%); }
.warn { border-left: .3rem solid #c33; padding: .2rem .6rem; margin: .3rem 0; }
</style></head><body>
<h1 id="head">csnap</h1>
<p id="role" role="status" aria-live="polite">loading ...</p>
<section aria-label="Conditions that need attention" id="conditions"></section>
<h2>Space</h2><div class="bar" id="bar" role="img"><span></span><span></span></div><p id="space"></p>
<h2>Volumes</h2><div id="volumes"></div>
<h2>Clients</h2><div class="wide"><table><thead><tr><th>node<th class="n">pid<th>volumes<th class="n">lease
<th class="n">reserved<th class="n">delegations</tr></thead><tbody id="sessions"></tbody></table></div>
<h2>Rates</h2><p id="rates">-</p>
<script>
const $ = id => document.getElementById(id);
const size = b => { const u = ["B","KiB","MiB","GiB","TiB","PiB"]; let i = 0;
  while (b >= 1024 && i < 5) { b /= 1024; i++; } return (i ? b.toFixed(1) : b) + " " + u[i]; };
const make = (name, text, cls) => { const e = document.createElement(name); e.textContent = text ?? "";
  if (cls) e.className = cls; return e; };
const row = cells => { const r = make("tr"); for (const [t, c] of cells) r.append(make("td", t, c)); return r; };
let last = null;
function show(s, snapshots, sessions) {
  $("head").textContent = "csnap: " + (s.store?.device ?? "");
  $("role").textContent = s.role === "master"
    ? `master at ${s.address}, term ${s.term}, up ${s.uptime} s` + (s.in_grace ? ", waiting for clients" : "")
    : "standby";
  $("conditions").replaceChildren(...(s.conditions ?? []).map(c => make("p", c, "warn")));
  if (s.role !== "master") return;
  const st = s.store, part = n => 100 * n / Math.max(1, st.chunks_total);
  $("bar").children[0].style.width = part(st.chunks_owned) + "%";
  $("bar").children[1].style.width = part(st.chunks_reserved) + "%";
  const text = `${size(st.chunks_owned * st.chunk_size)} in snapshots, ` +
    `${size(st.chunks_reserved * st.chunk_size)} reserved, ${size(st.chunks_free * st.chunk_size)} free`;
  $("bar").setAttribute("aria-label", text); $("space").textContent = text;
  $("volumes").replaceChildren(...s.volumes.map(v => {
    const box = make("section"), mine = snapshots.filter(x => x.volume === v.name), now = Date.now();
    box.append(make("h3", `${v.name}, ${size(v.size)}, ${v.snapshots} snapshots, ${v.exceptions} chunks kept`));
    const line = make("div", "", "line"), from = Math.min(now - 60000, ...mine.map(x => x.created));
    for (const x of mine) { const dot = make("i"); dot.style.left = 100 * (x.created - from) / (now - from) + "%";
      dot.title = `${x.snapshot}, ${new Date(x.created).toLocaleString()}, ${x.state}`; line.append(dot); }
    line.setAttribute("role", "img");
    line.setAttribute("aria-label", mine.map(x => x.snapshot).join(", ") || "no snapshots");
    box.append(line); return box; }));
  $("sessions").replaceChildren(...sessions.map(c => row([[c.node], [c.pid, "n"], [(c.volumes ?? []).join(" ")],
    [c.expired ? "expired" : (c.lease_left_ms / 1000).toFixed(1) + " s", "n"], [c.chunks_reserved, "n"],
    [c.delegations, "n"]])));
  const t = performance.now();
  if (last) { const d = (t - last.t) / 1000;
    $("rates").textContent = `${((s.chunks_copied - last.copied) / d).toFixed(0)} chunks copied/s, ` +
      `${((s.commits - last.commits) / d).toFixed(0)} commits/s`; }
  last = {t, copied: s.chunks_copied, commits: s.commits};
}
async function refresh() {
  try {
    const [s, snapshots, sessions] = await Promise.all(["status.json", "snapshots.json", "sessions.json"].map(
      async f => (await fetch(f)).json()));
    show(s, snapshots, sessions);
  } catch (e) { $("role").textContent = "no answer: " + e.message; last = null; }
  setTimeout(refresh, 2000);
}
refresh();
</script></body></html>
)html";

std::string snapshots_json(const store::engine &engine) {
  nlohmann::json out = nlohmann::json::array();
  for (const auto &[id, volume] : engine.volumes())
    for (const auto &[number, snapshot] : engine.snapshots(id))
      if (snapshot.state != store::snapshot_state::dead)
        out.push_back({{"volume", volume.name},
                       {"snapshot", snapshot.name},
                       {"number", number.value},
                       {"created", snapshot.created_unix_ms},
                       {"priority", snapshot.priority},
                       {"state", snapshot.state == store::snapshot_state::live ? "live" : "dying"}});
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

http_page as_json(std::string text) { return {"application/json", std::move(text)}; }

}  // namespace

std::optional<http_page> status_page(std::string_view path, const master_view *master) {
  if (path == "/") return http_page{"text/html; charset=utf-8", page_html};
  if (path == "/healthz") return http_page{"text/plain", master ? "master\n" : "standby\n"};
  if (path == "/metrics")
    return http_page{metrics_content_type,
                     master ? metrics_text(master->engine, master->status, master->about, master->work)
                            : standby_metrics_text()};
  if (path == "/status.json")
    return as_json(master ? status_json(master->engine, master->status, master->about)
                          : R"({"role":"standby"})");
  if (path == "/sessions.json") return as_json(master ? sessions_json(master->status.sessions) : "[]");
  if (path == "/snapshots.json") return as_json(master ? snapshots_json(master->engine) : "[]");
  return std::nullopt;
}

}  // namespace csnap::server
