// Everything works without this script. It brings some comforts: times in
// words, buttons that copy, pages that follow what happens, work that goes on.
"use strict";

const SECONDS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
let shift = 0; // the server's clock counts, not the browser's
const now = () => Date.now() + shift;

function relative(milliseconds) {
  const seconds = Math.round(milliseconds / 1000);
  for (const [unit, size] of SECONDS) {
    if (Math.abs(seconds) >= size) return words.format(Math.trunc(seconds / size), unit);
  }
  return words.format(0, "second");
}

function span(milliseconds) {
  let rest = Math.max(0, Math.ceil(milliseconds / 1000));
  const parts = [];
  for (const [name, size] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
    const amount = Math.floor(rest / size);
    rest -= amount * size;
    if (amount || parts.length) parts.push([amount, name]);
    if (parts.length === 2) break;
  }
  return parts.filter(([amount]) => amount).map((part) => part.join(" ")).join(" ") || "0 s";
}

function tellTimes() {
  for (const element of document.querySelectorAll("time[data-relative]")) {
    const away = Date.parse(element.dateTime) - now();
    if (Math.abs(away) > 6048e5) continue;
    if (!element.title) element.title = new Date(element.dateTime).toUTCString();
    put(element, relative(away));
  }
  for (const element of document.querySelectorAll("[data-until]")) {
    put(element, span(Date.parse(element.dataset.until) - now()));
  }
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function showCopyButtons(root) {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
  if (!button) return;
  const label = button.querySelector("span") || button;
  const before = label.textContent;
  try {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
    label.textContent = "Copied";
  } catch {
    label.textContent = "Select it and copy by hand";
  }
  setTimeout(() => { label.textContent = before; }, 2000);
});

// An export that takes over a second shows how far it is. The file is gathered
// here and handed over when it is whole.
document.addEventListener("click", async (event) => {
  const link = event.target.closest("[data-export] a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  const box = link.parentElement;
  if (box.dataset.busy) return;
  box.dataset.busy = "1";
  const of = Number(box.dataset.export) || 0;
  const status = document.createElement("div");
  status.className = "exporting";
  const label = document.createElement("span");
  label.setAttribute("role", "status");
  status.append(label);
  box.parentElement.after(status);
  const bar = document.createElement("progress");
  bar.setAttribute("aria-label", "Export");
  if (of) bar.max = of;
  const slow = setTimeout(() => { status.prepend(bar); tell(); }, 1000);
  let rows = 0;
  const tell = () => {
    if (of) bar.value = Math.min(rows, of);
    label.textContent = rows.toLocaleString("en") + (of ? " of " + of.toLocaleString("en") : "") + " rows";
  };
  const parts = [];
  try {
    const answer = await fetch(link.href, { cache: "no-store", redirect: "error" });
    if (!answer.ok) throw new Error(answer.status);
    const reader = answer.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      for (const byte of value) if (byte === 10) rows += 1;
      if (bar.isConnected) tell();
    }
    const name = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") || "");
    const file = document.createElement("a");
    file.href = URL.createObjectURL(new Blob(parts, { type: answer.headers.get("Content-Type") }));
    file.download = name ? name[1] : "export";
    file.click();
    setTimeout(() => URL.revokeObjectURL(file.href), 60000);
    status.remove();
  } catch {
    bar.remove();
    label.textContent = "The export was cut short. Try again.";
  } finally {
    clearTimeout(slow);
    delete box.dataset.busy;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// A form that somebody sent and that has more to do goes on by itself.
const further = document.querySelector("form[data-goes-on]");
if (further) setTimeout(() => further.requestSubmit(), 300);

let tag = null;

async function follow() {
  if (document.hidden) return true;
  const headers = { "X-Nightlatch-Live": "1" };
  if (tag) headers["If-None-Match"] = tag;
  const answer = await fetch(location.href, { headers, cache: "no-store", redirect: "manual" });
  if (answer.status === 401 || answer.type === "opaqueredirect") return false;
  const date = Date.parse(answer.headers.get("Date"));
  if (date && Math.abs(date - Date.now()) > 5000) shift = date - Date.now();
  if (answer.status !== 200) return true;
  tag = answer.headers.get("ETag");
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live]")) {
    const found = fresh.getElementById(old.id);
    if (!found || old.contains(document.activeElement)) continue;
    const open = [...old.querySelectorAll("details[open][id]")].map((one) => one.id);
    old.replaceWith(found);
    for (const id of open) {
      const again = document.getElementById(id);
      if (again) again.open = true;
    }
    showCopyButtons(found);
  }
  tellTimes();
  return true;
}

async function keepFollowing() {
  let going = true;
  try {
    going = await follow();
  } catch {
    // The server is away for a moment; the next try may find it.
  }
  if (going) setTimeout(keepFollowing, 3000);
  else sign(true, " · you are signed out: this page stays as it is");
}

function sign(on, text) {
  const element = document.querySelector("[data-live-sign]");
  if (!element) return;
  element.hidden = !on;
  if (text) element.textContent = text;
}

const here = new URL(location.href);
if (here.searchParams.has("said")) { // said once: not again when the page is loaded anew
  here.searchParams.delete("said");
  history.replaceState(null, "", here);
}
showCopyButtons(document);
tellTimes();
setInterval(tellTimes, 1000);
if (document.querySelector("[data-live]")) {
  sign(true);
  setTimeout(keepFollowing, 3000);
}
