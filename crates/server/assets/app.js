// Keeps an open page true: the live bar follows the running day, and a new forecast replaces the page's
// content in place. Without this script every link and form still works.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("script");
  const bar = document.getElementById("live");
  const main = () => document.getElementById("main");

  // The live bar.
  const fill = (name, text) => {
    for (const place of document.querySelectorAll(`[data-live="${name}"]`)) {
      if (place.textContent !== text) place.textContent = text;
    }
  };
  const draw = (live) => {
    bar.classList.remove("lost");
    bar.classList.toggle("watched", live.watched);
    bar.classList.toggle("still", live.paused || live.finished);
    fill("day", live.day);
    fill("time", live.time);
    fill("sold", live.sold ?? "–");
    fill("expected", live.expected ?? "–");
    fill("activity", live.activity ?? "");
    bar.querySelector("progress").value = live.progress ?? 0;
    const form = bar.querySelector("form");
    const button = form.querySelector("button");
    form.hidden = !live.replayed;
    form.action = live.paused ? "/replay/resume" : "/replay/pause";
    button.disabled = live.finished;
    const label = live.finished ? "Replay is over" : live.paused ? "Resume replay" : "Pause replay";
    if (button.textContent !== label) button.textContent = label;
  };
  bar.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    fetch(event.target.action, { method: "POST" }).catch(() => {});
  });

  // A new forecast: the same address is fetched again and its content put in place of the old one.
  const nameOf = (element) => {
    if (!element || element === document.body || element === main()) return null;
    if (element.id) return `#${CSS.escape(element.id)}`;
    if (element.name) return `[name="${CSS.escape(element.name)}"]`;
    const href = element.getAttribute("href");
    return href ? `a[href="${CSS.escape(href)}"]` : null;
  };
  let loading = null;
  const refresh = async (address, push) => {
    loading?.abort();
    loading = new AbortController();
    const answer = await fetch(address, { headers: { accept: "text/html" }, signal: loading.signal });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = fresh.getElementById("main");
    if (!next) { location.assign(address); return; }
    const focused = document.activeElement?.closest("#main, .frames") ? nameOf(document.activeElement) : null;
    const { scrollX, scrollY } = window;
    main().replaceWith(next);
    document.querySelector("footer").replaceWith(fresh.querySelector("footer"));
    document.querySelector("header .frames").replaceWith(fresh.querySelector("header .frames"));
    document.title = fresh.title;
    if (push) history.pushState(null, "", address);
    window.scrollTo(scrollX, scrollY);
    if (focused) (next.querySelector(focused) ?? document.querySelector(`.frames ${focused}`))?.focus({ preventScroll: true });
    prepare();
    return next;
  };
  let wanted = null;
  const renew = async () => {
    if (!wanted || document.hidden || main().dataset.generation === wanted) return;
    const id = wanted;
    try {
      const next = await refresh(location.href, false);
      next?.classList.add("fresh");
      if (next && next.dataset.generation !== id) next.dataset.generation = id;
      document.getElementById("said").textContent = "A new forecast is shown.";
    } catch (error) {
      if (error.name !== "AbortError") setTimeout(renew, 3000);
    }
  };
  document.addEventListener("visibilitychange", renew);
  window.addEventListener("popstate", () => refresh(location.href, false).catch(() => location.reload()));
  const events = new EventSource("/events");
  events.addEventListener("live", (event) => draw(JSON.parse(event.data)));
  events.addEventListener("generation", (event) => { wanted = event.data; renew(); });
  // Sales have moved a running period: drawn anew, but not while the reader is at a form or another fetch runs.
  let following = false;
  events.addEventListener("sales", async () => {
    if (following || document.hidden || !("follows" in main().dataset) || document.activeElement?.closest("#main form")) return;
    following = true;
    const { generation } = main().dataset;
    try {
      const next = await refresh(location.href, false);
      // What `wanted` asks for is still to be announced.
      if (next && generation !== next.dataset.generation) renew();
    } catch { /* the next event tries again */ }
    following = false;
  });
  events.addEventListener("error", () => {
    if (bar.classList.contains("lost")) return;
    bar.classList.add("still", "lost");
    fill("activity", `no news since ${new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`);
  });
  window.addEventListener("pagehide", () => events.close());

  // Filters act at once.
  function prepare() {
    for (const form of document.querySelectorAll("form[data-auto]")) {
      const apply = () => {
        const address = new URL(form.action);
        for (const [name, value] of new FormData(form)) {
          if (value && !(name === "sort" && value === "rank")) address.searchParams.append(name, value);
        }
        refresh(address.href, true).catch((error) => { if (error.name !== "AbortError") form.submit(); });
      };
      form.addEventListener("change", apply);
      form.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
    }
  }
  prepare();

  // Keys: a slash goes to the search, arrows go through the rows of a table.
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input:not([type=checkbox]),select,textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      document.getElementById("q").focus();
    } else if (event.key === "Escape" && event.target.id === "q") {
      event.target.blur();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && !typing) {
      const links = [...document.querySelectorAll("table.list tbody th a")];
      if (!links.length || event.ctrlKey || event.metaKey || event.altKey) return;
      const row = event.target.closest?.("tbody tr");
      const at = row ? links.findIndex((link) => row.contains(link)) : -1;
      if (at < 0) return;
      const next = links[at + (event.key === "ArrowDown" ? 1 : -1)];
      if (next) { event.preventDefault(); next.focus(); }
    }
  });
})();
