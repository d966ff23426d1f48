"use strict";
// The token is in the fragment, which a browser never sends to a server.
// Without one there may be one that was kept when notifications were turned on.
const fragment = location.hash.slice(1), named = new URLSearchParams(fragment).get("token");
let token = named === null ? fragment : named;
const $ = id => document.getElementById(id);
const known = new Map();  // notification → its newest entry, also where it is retracted
const cards = new Map();  // notification → its card: a revision changes it and its place
let epoch = null;         // the life of the inbox that is shown, null before the first page
let cursor = "";          // behind the newest entry that arrived
let acked = 0, before = "", allowed = false;
let me = "";              // whose inbox is shown
let met = false;          // the inbox was reached, so what is kept here is this participant's
let unsent = null;        // what was marked as seen and not sent yet, of this life of the inbox
let closed = "";          // what of it was seen or taken back when cards were closed last
let news = [], drawing = 0, keeping = 0, waiting = 0, turn = 0, source = null;
const keptMax = 200;      // entries, for when there is no network

const call = (path, more) => fetch("/v1/inbox" + path,
  { ...more, headers: { Authorization: "Bearer " + token }, signal: AbortSignal.timeout(10_000) }).catch(() => null);

// say writes where a screen reader listens. It speaks of changes only, so what is
// there already is left alone.
function say(id, words) { if ($(id).textContent !== words) $(id).textContent = words; }

function state(words, live) {
  say("state", words);
  $("state").classList.toggle("live", !!live);
}

// lost says why nothing arrives, in words; what was loaded stays.
function lost() {
  state(navigator.onLine ? "Connection lost" : "Offline");
  say("notice", (navigator.onLine ? "The inbox cannot be reached. Trying again…"
    : "You are offline. New messages appear when you are back.") + (asOf ? " These are the messages of " + asOf + "." : ""));
}

const clock = at => new Date(at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

// recall shows what was kept at an earlier visit with this token. The stream goes
// on behind it later, as after any loss, so the two never disagree for long.
let asOf = ""; // when that was, while it is all there is
async function recall() {
  const [owner, list, ack] = await Promise.all(["owner", "list", "ack"].map(kept.get));
  if (!owner || !owner.digest || !list || owner.digest !== await kept.digest(token) || epoch !== null) return;
  ({ epoch, cursor, before, acked } = list);
  unsent = ack && ack.epoch === epoch ? ack : null;
  acked = Math.max(acked, unsent ? unsent.offset : 0);
  me = owner.participant;
  asOf = clock(list.at);
  allowed = true;
  list.entries.forEach(e => take(e, false));
  say("who", me);
}

// keep stores what is shown, in one piece with its cursor.
async function keep() {
  keeping = 0;
  if (!met || epoch === null) return;
  const newest = [...known.values()].sort((a, b) => b.offset - a.offset), entries = newest.slice(0, keptMax);
  const rest = newest.length > keptMax ? String(entries[keptMax - 1].offset) : before;
  await kept.put(me, "list", { epoch, cursor, acked, before: rest, entries, at: Date.now() });
}

// enter makes what is kept here this participant's. Another's subscription and
// cards go before the rest: whoever was here before is told nothing more.
async function enter(participant) {
  const owner = await kept.get("owner");
  if (owner && owner.participant !== participant) await pushes.leave();
  await kept.claim(participant, await kept.digest(token));
  if (me && me !== participant) forget();
  me = participant;
  met = true;
}

// refused is for answers that another attempt would not change.
function refused(detail) {
  allowed = false;
  kept.get("owner").then(o => { if (o && o.token === token) kept.remember(o.participant, ""); });
  state("Not connected");
  say("notice", "This link has expired, or is not valid. Open your inbox with a new one. (" + detail + ")");
  later();
}

// take keeps an entry unless a later revision is known: what comes twice or late
// changes nothing. Live entries are announced.
function take(e, live) {
  const old = known.get(e.notification);
  if (old && (old.revision > e.revision || (old.revision === e.revision && old.offset >= e.offset))) return;
  known.set(e.notification, e);
  if (live && (e.op !== "retract" || (old && old.op !== "retract"))) news.push({ e, old });
  later();
}

// later draws soon, once for all that arrives together. A page in the background
// gets no animation frames, and its title is what is seen of it.
function later() { if (!drawing) drawing = setTimeout(draw, 0); }

function forget() {
  known.clear();
  epoch = null; cursor = before = ""; acked = 0; news = []; unsent = null;
  later();
}

// make returns an element with a text. Data is never parsed as HTML.
function make(tag, text, kind) {
  const n = document.createElement(tag);
  n.textContent = text;
  if (kind) n.className = kind;
  return n;
}

function fill(card, e) {
  const fresh = e.offset > acked, over = !!e.expires && new Date(e.expires) < new Date();
  card.classList.toggle("fresh", fresh);
  card.classList.toggle("over", over);
  const about = make("p", "", "about"), at = make("time", clock(e.at));
  at.dateTime = e.at;
  if (fresh) about.append(make("span", "New", "new"));
  about.append(at, make("span", e.class));
  if (e.op === "update") about.append(make("span", "changed"));
  if (over) about.append(make("span", "expired"));
  card.replaceChildren(make("h2", e.title || "Message"), ...(e.body ? [make("p", e.body, "body")] : []), about);
}

function draw() {
  drawing = 0;
  const shown = [...known.values()].filter(e => e.op !== "retract").sort((a, b) => b.offset - a.offset);
  const list = $("list"), gone = new Set(cards.keys());
  shown.forEach((e, i) => {
    gone.delete(e.notification);
    if (!cards.has(e.notification)) cards.set(e.notification, make("li", ""));
    const card = cards.get(e.notification);
    fill(card, e);
    if (list.children[i] !== card) list.insertBefore(card, list.children[i] || null);
  });
  for (const id of gone) { cards.get(id).remove(); cards.delete(id); }
  list.hidden = shown.length === 0; // an empty list is nothing to be told of
  $("empty").hidden = epoch === null || shown.length > 0;
  $("older").hidden = !before || !allowed;
  const unread = shown.filter(e => e.offset > acked).length;
  $("ack").setAttribute("aria-disabled", String(!allowed || unread === 0));
  document.title = unread ? `(${unread}) Inbox` : "Inbox";
  if (navigator.setAppBadge) navigator.setAppBadge(unread).catch(() => {}); // it is only for installed pages
  announce();
  if (!keeping) keeping = setTimeout(keep, 100);
  // What was seen here or taken back needs no card any more. The browser is asked for
  // its cards only where that has changed: Chromium can lose one that is being shown
  // just then.
  const now = [acked, known.size - shown.length].join();
  if (now === closed) return;
  closed = now;
  pushes.seen(n => { const e = known.get(n.notification); return !!e && (e.op === "retract" || e.offset <= acked); });
}

function announce() {
  if (news.length === 0) return;
  const fresh = news.filter(n => !n.old), rest = news.filter(n => n.old);
  const words = rest.map(n => n.e.op === "retract" ? "Taken back: " + n.old.title : "Changed: " + n.e.title);
  if (fresh.length === 1) words.unshift("New message: " + fresh[0].e.title);
  if (fresh.length > 1) words.unshift(fresh.length + " new messages");
  news = [];
  $("news").textContent = words.join(". ");
}

// start loads the newest page and listens behind it. A later call ends an earlier
// one, wherever that stands.
async function start() {
  const mine = ++turn;
  clearTimeout(waiting);
  if (source) source.close();
  if (!token) token = (await kept.get("owner"))?.token || "";
  if (mine !== turn) return;
  if (!token) { state("Not connected"); say("notice", "This page needs the link that you were given; it ends in #token=…"); return; }
  const answer = await call("?limit=200");
  const page = answer && await answer.json().catch(() => null);
  if (mine !== turn) return;
  if (page && (answer.status === 401 || answer.status === 403)) { refused(page.detail); return; }
  if (!page || !answer.ok) {
    if (epoch === null) await recall();
    if (mine === turn) { lost(); again(); }
    return;
  }
  if (!met) await enter(page.participant);
  if (mine !== turn) return;
  allowed = true;
  asOf = "";
  say("notice", "");
  say("who", me);
  if (epoch && epoch !== page.epoch) forget();
  if (epoch === null) {
    before = page.next || "";
    cursor = page.epoch ? `${page.epoch}-${page.last}` : "";
    page.entries.forEach(e => take(e, false));
  } // else the stream goes on where it was: what this page holds may leave a gap
  epoch = page.epoch; acked = Math.max(page.acked, unsent ? unsent.offset : 0);
  later();
  listen();
  await send();
  pushes.enter(me);
}

function again() { clearTimeout(waiting); waiting = setTimeout(start, 2000); }

function listen() {
  const mine = source = new EventSource("/v1/inbox/stream?" + new URLSearchParams({ after: cursor, access_token: token }));
  mine.onopen = () => { state("Live", true); say("notice", ""); };
  mine.onerror = () => {
    lost();
    // The browser resumes by itself behind the last ID, but gives up for good on
    // an answer that is not a stream.
    if (mine.readyState === EventSource.CLOSED) again();
  };
  mine.addEventListener("notification", m => {
    cursor = m.lastEventId;
    if (!epoch) epoch = cursor.split("-")[0]; // the inbox had none while it was empty
    take(JSON.parse(m.data), true);
  });
  mine.addEventListener("resync", () => { forget(); start(); });
}

// sync takes what lies behind the cursor, at once: a page in the background may
// have a stream that sleeps. The stream's own copies change nothing.
async function sync(offset) {
  if (!met || offset && offset <= Number(cursor.split("-")[1])) return;
  const life = epoch, answer = await call("?limit=200&after=" + cursor);
  if (!answer || !answer.ok) return; // the stream's own trouble says so
  const page = await answer.json();
  if (life !== epoch || page.resync || page.epoch !== epoch) return;
  page.entries.forEach(e => take(e, true));
}

$("ack").onclick = async () => {
  if ($("ack").getAttribute("aria-disabled") === "true") return;
  // Kept before it is sent, so that neither a lost network nor a closed page loses it.
  unsent = { epoch, offset: Math.max(...[...known.values()].map(e => e.offset)) };
  const { offset } = unsent, life = epoch, stays = await kept.put(me, "ack", unsent), sent = await send();
  if (sent === false) { say("notice", "That could not be saved. Please try again."); return; }
  if (life === epoch) acked = Math.max(acked, offset);
  later();
  $("news").textContent = "All messages are marked as seen";
  if (sent) say("notice", "");
  else say("notice", "You are not connected. That you have seen these is sent when you are back" + (stays ? "." : ", if this page stays open."));
};

// send sends what was marked as seen. It returns whether it is done, or null where
// that has to wait: it is tried again when the inbox is reached, and every few
// seconds. Sent twice it is the same: the inbox never goes back.
let sending = 0;
async function send() {
  clearTimeout(sending);
  if (!met || epoch === null) return null;
  const ack = unsent || await kept.get("ack");
  if (!ack) return true;
  const settled = () => kept.change(me, "ack", a => a && (a.epoch !== ack.epoch || a.offset > ack.offset) ? a : undefined);
  if (ack.epoch !== epoch) { await settled(); return true; } // offsets of another life mean nothing here
  const answer = await call("/ack", { method: "POST", body: JSON.stringify({ offset: ack.offset }) });
  if (!answer || answer.status >= 500 || answer.status === 429) { sending = setTimeout(send, 5000); return null; }
  if (answer.status === 401 || answer.status === 403) return null; // the same player's next token sends it
  if (unsent === ack) unsent = null;
  await settled();
  if (!answer.ok) { start(); return false; } // what counts is what the inbox has
  const body = await answer.json();
  if (ack.epoch === epoch) acked = Math.max(acked, body.acked);
  later();
  return true;
}

$("older").onclick = async () => {
  const life = epoch, answer = await call("?limit=200&before=" + before);
  if (!answer || !answer.ok) { say("notice", "Older messages could not be loaded. Please try again."); return; }
  const page = await answer.json();
  if (life !== epoch) return;
  before = page.next || "";
  page.entries.forEach(e => take(e, false));
  later();
};

addEventListener("offline", lost);
addEventListener("online", start);
navigator.serviceWorker?.addEventListener("message", m => {
  if (m.data.type !== "sync") return;
  if (m.data.offset && m.data.offset <= acked) { closed = ""; later(); } // the worker did not know yet
  sync(m.data.offset);
});
addEventListener("hashchange", () => location.reload());
start();
