"use strict";
// The inbox page's service worker: it shows what is pushed, and has the page's
// own files for when there is no network. It is told of messages; the truth is in
// the inbox, so it wakes pages, and never acknowledges.
//
// Invariant: at most one card is to be seen of a notification, with the newest
// revision that came here. A card is shown before its revision is noted: a worker
// that dies between the two shows the same again under the same tag.
importScripts("/inbox/kept.js", "/inbox/device.js");

const version = "VERSION"; // of all files, put in by the notifier
const shell = ["/inbox", "/inbox/inbox.css", "/inbox/kept.js", "/inbox/device.js", "/inbox/push.js", "/inbox/inbox.js",
  "/inbox/icon.svg", "/inbox/app.webmanifest"];
const slow = 5000; // ms, after which the cached file will do

addEventListener("install", event => event.waitUntil((async () => {
  const cache = await caches.open("inbox-" + version);
  await cache.addAll(shell.map(path => new Request(path, { cache: "no-cache" })));
  await skipWaiting();
})()));

addEventListener("activate", event => event.waitUntil((async () => {
  for (const name of await caches.keys()) if (name.startsWith("inbox-") && name !== "inbox-" + version) await caches.delete(name);
  await clients.claim();
})()));

// Only the files above are answered here, and only they are cached, under their
// bare paths: no address with a token, and no answer of the inbox.
addEventListener("fetch", event => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin || !shell.includes(url.pathname)) return;
  event.respondWith(file(event.request, url.pathname));
});

async function file(request, path) {
  const late = new Promise(resolve => { setTimeout(resolve, slow); });
  const asked = fetch(request);
  const answer = await Promise.race([asked, late]).catch(() => null);
  // A redirect of a navigation comes as one, for the browser to follow.
  if (answer && (answer.ok || answer.type === "opaqueredirect")) return answer;
  return await caches.match(path, { cacheName: "inbox-" + version }) || asked;
}

// One push at a time: two revisions of a card must not overtake each other
// between looking and showing.
let line = Promise.resolve();
addEventListener("push", event => {
  line = line.catch(() => {}).then(() => pushed(event.data));
  event.waitUntil(line);
});

async function pushed(data) {
  let n = null;
  try { n = data.json(); } catch { /* not ours, or empty */ }
  if (!n || typeof n.notification !== "string" || !n.notification || typeof n.revision !== "number") {
    await registration.showNotification("New message", { tag: "inbox" }); // a push may not be for nothing
    return tell({ type: "sync" });
  }
  try {
    await show(n);
  } finally { // a page learns of it also where cards are not allowed any more
    await tell({ type: "sync", offset: n.inbox_offset || 0, badge: await badge() });
  }
}

// show brings a notification's card in line with a push.
async function show(n) {
  const [shown] = await registration.getNotifications({ tag: n.notification });
  const old = await kept.card(n.notification), list = await kept.get("list");
  const listed = list && list.entries.find(e => e.notification === n.notification);
  const behind = Boolean(old && old.revision >= n.revision || listed && listed.revision > n.revision);
  const over = n.op === "retract" || listed && listed.revision >= n.revision && (listed.op === "retract" || listed.offset <= list.acked);
  if (over || behind && !shown) {
    await nothing(n);
  } else if (behind) {
    await card(shown.data, { silent: true }); // what is there is right
  } else if (shown && shown.title !== n.title) {
    await card(n, { renotify: true }); // what one has read is not so any more
  } else {
    await card(n, { silent: Boolean(shown || old) }); // details changed, or a card that was put away
  }
  if (!behind) await kept.note(n.notification, { notification: n.notification, revision: n.revision, op: n.op, offset: n.inbox_offset || 0, at: Date.now() });
}

const card = (n, how) => registration.showNotification(n.title || "New message", {
  body: n.body, tag: n.notification, data: n, timestamp: Date.parse(n.event_time) || Date.now(), ...how,
});

// nothing leaves no card. Browsers allow a page pushes on the condition that each
// shows something, or that the page is to be seen itself. Otherwise the card is
// shown in silence and closed at once: Firefox and Safari go by what was shown,
// while Chromium looks at what is left, and bears some pushes that leave nothing.
async function nothing(n) {
  if (!(await pages()).some(page => page.visibilityState === "visible")) await card(n, { silent: true });
  (await registration.getNotifications({ tag: n.notification })).forEach(shown => shown.close());
}

// badge shows how many messages are unread, by the page's list and what came
// after it, where the page is installed.
async function badge() {
  const list = await kept.get("list") || { entries: [], acked: 0 };
  const newest = new Map(list.entries.map(e => [e.notification, e]));
  for (const c of await kept.cards()) {
    const e = newest.get(c.notification);
    if (!e || e.revision < c.revision) newest.set(c.notification, c);
  }
  const unread = [...newest.values()].filter(e => e.op !== "retract" && e.offset > list.acked).length;
  if (navigator.setAppBadge) await navigator.setAppBadge(unread).catch(() => {});
  return unread;
}

// pages are the open ones, also those that were loaded before this worker.
const pages = async () => (await clients.matchAll({ type: "window", includeUncontrolled: true }))
  .filter(page => new URL(page.url).pathname === "/inbox");

async function tell(message) { for (const page of await pages()) page.postMessage(message); }

addEventListener("notificationclick", event => {
  event.notification.close();
  event.waitUntil(visit());
});

// visit goes to the page that is open, or opens one, without a token in its
// address: it has what it kept when notifications were turned on.
async function visit() {
  const open = await pages(), page = open.find(p => p.visibilityState === "visible") || open[0];
  const there = page && await page.focus().catch(() => null);
  if (there) there.postMessage({ type: "sync" });
  else await clients.openWindow("/inbox");
}

addEventListener("pushsubscriptionchange", event => event.waitUntil(renew(event.newSubscription)));

// renew gives the notifier the subscription that took the old one's place. Where
// that fails, the page does it at the next visit.
async function renew(subscription) {
  const owner = await kept.get("owner"), device = await kept.get("device");
  if (!owner || !device || device.want !== "on") return;
  try {
    const now = subscription || await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: device.key });
    if (owner.token) await enrol(owner.participant, owner.token, device, now);
  } catch { /* the page sees that it is another */ }
  await tell({ type: "subscription" });
}
