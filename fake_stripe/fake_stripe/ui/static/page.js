/* What the pages do beyond links and forms: theme, shortcuts, following what happens. Everything works from one place,
   by delegation, because htmx replaces the page beneath. */
"use strict";
(() => {
  const root = document.documentElement;
  const kept = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const keep = (name, value) => { try { localStorage.setItem(name, value); } catch { /* a private window */ } };

  // ---- theme: before the first paint
  const theme = kept("theme");
  if (theme) root.dataset.theme = theme;
  const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const switchTheme = () => { root.dataset.theme = isDark() ? "light" : "dark"; keep("theme", root.dataset.theme); };

  // ---- following what happens
  const EVERY = 2000;
  let live = kept("live") !== "off";
  const showLive = () => document.getElementById("live-switch")?.setAttribute("aria-pressed", String(live));
  const switchLive = () => { live = !live; keep("live", live ? "on" : "off"); showLive(); };
  const busy = () =>
    document.hidden || document.querySelector("dialog[open]") || !getSelection().isCollapsed ||
    document.activeElement?.matches("#main input, #main select, #main textarea") || document.querySelector(".htmx-request");
  setInterval(() => { if (live && window.htmx && !busy()) window.htmx.trigger("#live", "live"); }, EVERY);

  // ---- what a new page keeps of the old one: how far its parts were scrolled, which details were open
  let places = new Map();
  document.addEventListener("htmx:beforeSwap", () => {
    places = new Map([...document.querySelectorAll("[data-keep][id]")].map((e) => [e.id, [e.scrollLeft, e.scrollTop, e.open, location.pathname]]));
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const [id, [left, top, open, path]] of places) {
      const found = document.getElementById(id);
      if (!found) continue;
      if (path === location.pathname) found.scrollTop = top;
      found.scrollLeft = left;
      if (open) found.open = true;
    }
    showLive();
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    // Where the list stands below the opened call, not beside it, opening one leads up to it.
    if (event.detail.requestConfig?.elt?.matches("a.call") && matchMedia("(max-width: 1180px)").matches)
      document.getElementById("detail")?.scrollIntoView();
  });

  // ---- asking before what cannot be undone
  document.addEventListener("htmx:confirm", (event) => {
    if (!event.detail.question) return;
    event.preventDefault();
    const dialog = document.getElementById("ask");
    document.getElementById("ask-text").textContent = event.detail.question;
    dialog.returnValue = "no";
    dialog.addEventListener("close", () => { if (dialog.returnValue === "yes") event.detail.issueRequest(true); }, { once: true });
    dialog.showModal();
    document.getElementById("ask-no").focus();
  });

  // ---- buttons and keys
  const showKeys = () => document.getElementById("keys").showModal();
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.id === "theme-switch") switchTheme();
    if (button?.id === "live-switch") switchLive();
    if (button?.id === "keys-switch") showKeys();
  });
  const step = (by) => {
    const rows = [...document.querySelectorAll("[data-row]")];
    if (!rows.length) return;
    const at = rows.findIndex((row) => row === document.activeElement);
    const from = at >= 0 ? at : rows.findIndex((row) => row.getAttribute("aria-current") === "true");
    const next = rows[Math.min(rows.length - 1, Math.max(0, from < 0 ? 0 : from + by))];
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  };
  const pressed = { "?": showKeys, t: switchTheme, l: switchLive, j: () => step(1), k: () => step(-1) };
  let going = -Infinity;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.matches("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.timeStamp - going < 1500) {
      going = -Infinity;
      const link = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    if (event.key === "g") { going = event.timeStamp; return; }
    if (event.key === "/") { event.preventDefault(); document.querySelector("[data-search]")?.focus(); return; }
    pressed[event.key]?.();
  });
  document.addEventListener("DOMContentLoaded", showLive);
})();
