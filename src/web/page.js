// Times in the reader's own zone, and the page brought up to date when there is something new. All of it can be read
// without this.
"use strict";
(() => {
  const own = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" });

  const inOwnZone = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime()) || time.title) continue;
      time.title = time.textContent;
      time.textContent = own.format(at);
    }
  };

  const news = document.getElementById("news");
  let known = null;

  // Only what differs is put in place, so that what somebody reads or has opened stays where it is.
  const renew = async () => {
    const answer = await fetch(location.pathname, { cache: "no-cache" });
    if (!answer.ok) return;
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    const [mine, theirs] = [document.getElementById("main"), next.getElementById("main")];
    if (!mine || !theirs) return;
    inOwnZone(theirs);
    const opened = new Set([...mine.querySelectorAll("details[open]")].map((d) => d.closest("[id]")?.id));
    for (const d of theirs.querySelectorAll("details")) d.open = opened.has(d.closest("[id]")?.id);
    const state = mine.querySelector(".state")?.textContent;
    const changed = [...theirs.children].filter((c) => !c.isEqualNode(document.getElementById(c.id)));
    if (changed.length === 0) return;
    const same = [...mine.children].map((c) => c.id).join() === [...theirs.children].map((c) => c.id).join();
    if (same) for (const section of changed) document.getElementById(section.id).replaceWith(document.adoptNode(section));
    else mine.replaceChildren(...[...theirs.children].map((c) => document.adoptNode(c)));
    document.title = next.title;
    const now = mine.querySelector(".state")?.textContent;
    news.textContent = now === state ? "Brought up to date." : `New: ${now}.`;
  };

  inOwnZone(document);
  const events = new EventSource("/events");
  events.addEventListener("edition", (event) => {
    if (known !== null && known !== event.data) renew().catch(() => {});
    known = event.data;
  });
  events.addEventListener("open", () => document.documentElement.dataset.live = "yes");
  events.addEventListener("error", () => document.documentElement.dataset.live = "no");
})();
