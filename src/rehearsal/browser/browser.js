// The two rooms, drawn from what the rehearsal says, and what a viewer does in them. Words of people are set as text; the HTML
// of posts was escaped where it was made.
"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  const make = (tag, more = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), more);
    element.append(...children);
    return element;
  };
  // What only the viewer sees: answers, and what they are asked for.
  const own = new Map();
  let scene = null;
  let replying = new Map();

  const act = async (deed) => {
    const answer = await fetch("/act", { method: "POST", headers: { "content-type": "application/json", "x-rehearsal": "1" }, body: JSON.stringify(deed) });
    if (!answer.ok) {
      by("told").textContent = await answer.text();
      return {};
    }
    const came = await answer.json();
    if (came.error) by("told").textContent = came.error;
    return came;
  };

  const command = async (room, line, more = {}) => {
    const came = await act({ do: "command", room, line, ...more });
    if (came.html) own.set(room, { line, html: came.html });
    if (came.asks) own.set(room, { line, asks: came.asks });
    draw();
  };

  const only = (room) => {
    const mine = own.get(room);
    if (!mine) return [];
    const box = make("li", { className: "only" });
    box.setAttribute("aria-live", "polite");
    box.append(make("small", { textContent: "Only you can see this" }));
    if (mine.html) {
      const words = make("div", { className: "words" });
      words.innerHTML = mine.html;
      box.append(words);
    }
    if (mine.asks) {
      const [part, about, most] = mine.asks;
      const input = make("input", { type: "text", maxLength: most, autocomplete: "off" });
      const form = make("form", { className: "say" }, make("label", {}, make("span", { className: "unseen", textContent: about }), input), make("button", { textContent: "Send" }));
      input.placeholder = about;
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        own.delete(room);
        command(room, mine.line, { part, words: input.value });
      });
      box.append(form);
    }
    const close = make("button", { type: "button", textContent: "Dismiss" });
    close.addEventListener("click", () => { own.delete(room); draw(); });
    box.append(make("div", { className: "deeds" }, close));
    return [box];
  };

  const message = (room, m) => {
    const item = make("li", { className: m.root ? "reply" : "" });
    item.dataset.id = m.id;
    const marks = [m.at, m.pinned && "pinned", m.edited && "edited", m.closed && "closed"].filter(Boolean).join(" · ");
    item.append(make("div", { className: "who" }, make("span", { textContent: m.by }), make("small", { textContent: marks })));
    const words = make("div", { className: "words" });
    words.innerHTML = m.html;
    item.append(words);
    const deeds = make("div", { className: "deeds" });
    const deed = (textContent, name, pressed, done) => {
      const button = make("button", { type: "button", textContent });
      button.setAttribute("aria-label", name);
      if (pressed !== null) button.setAttribute("aria-pressed", pressed);
      button.addEventListener("click", done);
      deeds.append(button);
    };
    for (const [label, line] of m.buttons) deed(label, label, null, () => command(room.name, line));
    const given = new Map(m.reactions.map((r) => [r.emoji, r]));
    const offered = m.choices.length ? m.choices : m.herald ? [["👍", "👍"], ["⚠️", "⚠️"]] : [];
    for (const [emoji, label] of [...offered, ...m.reactions.filter((r) => !offered.some(([e]) => e === r.emoji)).map((r) => [r.emoji, r.emoji])]) {
      const r = given.get(emoji);
      const count = r ? ` ${r.count}` : "";
      deed(`${label}${count}`, `${label}, ${r ? r.count : 0}`, r ? String(r.mine) : "false", () => act({ do: "react", room: room.name, message: m.id, emoji }));
    }
    if (m.thread) deed("Reply in its thread", "Reply in its thread", null, () => { replying.set(room.name, m.id); draw(); by(`say-${room.name}`)?.focus(); });
    if (deeds.childElementCount) item.append(deeds);
    return item;
  };

  const roomOf = (room) => {
    const known = by(`room-${room.name}`);
    if (known) return known;
    const section = make("section", { id: `room-${room.name}`, className: `room ${room.platform}` });
    section.append(make("h2", {}, document.createTextNode(`${room.platform === "discord" ? "#" : ""}${room.name} `), make("span", { textContent: room.title })));
    const list = make("ul", { className: "messages", tabIndex: 0 });
    list.setAttribute("aria-label", `Messages in ${room.name}`);
    const input = make("input", { type: "text", id: `say-${room.name}`, maxLength: 1000, autocomplete: "off" });
    const form = make("form", { className: "say" }, make("label", {}, make("span", { className: "unseen", textContent: `A command, or a reply, in ${room.name}` }), input), make("button", { textContent: "Send" }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = input.value.trim();
      if (!text) return;
      input.value = "";
      const root = replying.get(room.name);
      if (/^[/!]upgrade\b/.test(text)) command(room.name, text);
      else if (root) {
        act({ do: "reply", room: room.name, root, text });
        replying.delete(room.name);
        draw();
      } else by("told").textContent = "Type a command, or press “Reply in its thread” below a post first.";
    });
    section.append(list, form);
    (room.operators ? by("operators").querySelector(".rooms") : by("rooms")).append(section);
    return section;
  };

  const draw = () => {
    if (!scene) return;
    by("title").textContent = scene.title || "A rehearsal";
    by("state").textContent = scene.over ? `${scene.state}: the end` : scene.state;
    by("now").textContent = scene.now;
    by("pause").textContent = scene.paused ? "Go on" : "Pause";
    by("pause").setAttribute("aria-pressed", String(scene.paused));
    const speed = by("speed");
    if (document.activeElement !== speed && [...speed.options].some((o) => o.value === String(scene.speed))) speed.value = String(scene.speed);
    for (const button of document.querySelectorAll("[data-fault]")) button.setAttribute("aria-pressed", String(scene.asked.includes(button.dataset.fault)));
    by("chains").replaceChildren(...scene.chains.map((c) => make("div", { className: "chain" },
      make("span", { textContent: `${c.name}: ${c.stage}${c.runs ? `, runs ${c.runs}` : ""}, target ${c.target}${c.still ? ", stands still" : ""}` }),
      ...c.blocks.map((b) => make("span", { className: `block${b.synthetic ? " synthetic" : ""}`, textContent: b.number })))));
    for (const room of scene.rooms) {
      const section = roomOf(room);
      const list = section.querySelector(".messages");
      const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
      const focused = document.activeElement;
      const held = focused && list.contains(focused) ? [focused.closest("li")?.dataset.id, focused.getAttribute("aria-label"), focused.tagName] : null;
      // What people are asked to write stays while others' words come in.
      if (held && held[2] === "INPUT") continue;
      const below = (id) => room.messages.filter((m) => m.root === id).map((m) => message(room, m));
      const items = room.messages.filter((m) => !m.root).flatMap((m) => [message(room, m), ...below(m.id)]);
      const orphans = room.messages.filter((m) => m.root && !room.messages.some((o) => o.id === m.root)).map((m) => message(room, m));
      list.replaceChildren(...orphans, ...items, ...only(room.name));
      if (atEnd || own.has(room.name)) list.scrollTop = list.scrollHeight;
      if (held) [...list.querySelectorAll("button")].find((b) => b.closest("li")?.dataset.id === held[0] && b.getAttribute("aria-label")?.split(",")[0] === held[1]?.split(",")[0])?.focus();
      section.querySelector("form.say:last-child input").placeholder = replying.has(room.name) ? "Your reply in the thread" : room.command_prefix ? `${room.command_prefix}upgrade status` : "";
    }
    const lines = by("log").querySelector("ol");
    const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
    lines.replaceChildren(...[...scene.lines, ...scene.verdict].map((line) => make("li", { textContent: line })));
    if (atEnd) lines.scrollTop = lines.scrollHeight;
  };

  let drawing = false;
  let stale = false;
  const renew = async () => {
    if (drawing) { stale = true; return; }
    drawing = true;
    do {
      stale = false;
      try { scene = await (await fetch("/scene")).json(); draw(); } catch { by("told").textContent = "The rehearsal has ended: start herald rehearse --browser again."; }
    } while (stale);
    drawing = false;
  };

  by("pause").addEventListener("click", () => act({ do: scene?.paused ? "go" : "pause" }));
  by("again").addEventListener("click", () => { own.clear(); replying.clear(); act({ do: "again" }); });
  by("speed").addEventListener("change", (event) => act({ do: "speed", percent: Number(event.target.value) }));
  for (const button of document.querySelectorAll("[data-fault]")) button.addEventListener("click", () => act({ do: "fault", fault: button.dataset.fault }));
  const events = new EventSource("/events");
  events.addEventListener("scene", renew);
  events.addEventListener("open", () => { document.documentElement.dataset.live = "yes"; });
})();
