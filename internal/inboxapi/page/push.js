"use strict";
// The button that turns notifications on and off on this device.
const pushes = (() => {
  const able = "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;
  const on = "Stop notifying me on this device", off = "Notify me on this device";
  const patience = 20_000; // ms
  let who = "", key = "", line = Promise.resolve();

  const registering = "serviceWorker" in navigator
    ? navigator.serviceWorker.register("/inbox/worker.js", { scope: "/inbox", updateViaCache: "none" }) : Promise.reject();
  registering.catch(() => {}); // then the page is only not there offline

  // soon fails where the browser keeps a promise open: without a network,
  // Chromium's subscribe never ends.
  const soon = (promise, words) => Promise.race([promise, new Promise((_, reject) => { setTimeout(reject, patience, new Error(words)); })]);

  // worker is the registration; to subscribe, with a worker that is there.
  const worker = ready => soon(ready ? registering.then(() => navigator.serviceWorker.ready) : registering,
    "The browser does not start the page's service worker.");

  // In one line: a click must not meet what runs since the page was loaded.
  function next(work, label = off) {
    const failed = e => show(label, `Notifications could not be turned ${label === off ? "on" : "off"}. Please try again. (${e.message})`);
    line = line.then(work).catch(failed);
    return line;
  }

  // device is what the player wants of this browser; undefined for nothing yet,
  // and null where another tab has made it another player's.
  async function device() {
    const owner = await kept.get("owner");
    return owner && owner.participant === who ? kept.get("device") : null;
  }

  function show(words, says, idle) {
    const button = document.getElementById("push");
    button.hidden = false;
    button.textContent = words;
    button.setAttribute("aria-disabled", String(!!idle));
    say("pushsays", says);
  }

  // stands shows how things are.
  async function stands() {
    if (!isSecureContext) return show(off, "Notifications need a page that was opened by https.", true);
    if (!able) return show(off, "This browser cannot show notifications.", true);
    if (Notification.permission === "denied") {
      return show(off, "Your browser blocks this page's notifications. Allow them in the browser's settings for this site.", true);
    }
    const mine = await device(), is = mine && mine.want === "on" && mine.sent && Notification.permission === "granted";
    return is ? show(on, "Notifications are on: this device shows new messages, also while this page is closed.") : show(off, "");
  }

  // subscription is this browser's, for the notifier's present key.
  async function subscription() {
    const manager = (await worker(true)).pushManager;
    const old = await manager.getSubscription();
    if (old && base64url(old.options.applicationServerKey) === key) return old;
    if (old) await old.unsubscribe(); // the notifier has another key: nothing would arrive
    return soon(manager.subscribe({ userVisibleOnly: true, applicationServerKey: key }), "The browser's push service cannot be reached.");
  }

  const base64url = buffer => btoa(String.fromCharCode(...new Uint8Array(buffer || [])))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

  function name() {
    let id = localStorage.getItem("device");
    if (!id) localStorage.setItem("device", id = "browser-" + crypto.randomUUID());
    return id;
  }

  // silence ends the subscription and closes the cards. From then on nothing is
  // shown, whatever the notifier knows: its push service tells it in the end.
  async function silence() {
    const registration = await worker();
    const old = await registration.pushManager.getSubscription();
    if (old) await old.unsubscribe();
    (await registration.getNotifications()).forEach(card => card.close());
  }

  async function turnOn() {
    show(off, "One moment…", true);
    const id = name();
    // The wish is kept first: what comes after it can be taken up by the next visit.
    const wish = { ...await device(), want: "on", id, key };
    if (!await kept.put(who, "device", wish)) throw new Error("This browser keeps no data of this page, or another inbox was opened in it.");
    await enrol(who, token, wish, await subscription());
    await kept.remember(who, token);
    await stands();
  }

  async function turnOff() {
    show(on, "One moment…", true);
    const id = name();
    await kept.put(who, "device", { want: "off", id });
    await kept.remember(who, "");
    await silence();
    const answer = await overDevice(who, token, id, { method: "DELETE" });
    // Otherwise the next visit sees to it.
    if (answer && answer.ok) await kept.change(who, "device", d => d && d.want === "on" ? d : undefined);
    await stands();
  }

  // settle takes up what was left half done, and what changed since the last
  // visit: a renewed subscription, another key, a newer token.
  async function settle() {
    if (!who || !key || !able) return;
    const mine = await device();
    if (mine && mine.want === "off") return turnOff();
    if (mine && Notification.permission === "granted") {
      await enrol(who, token, { ...mine, key }, await subscription());
      await kept.remember(who, token);
    } else if (mine === undefined) {
      const stray = await (await worker()).pushManager.getSubscription();
      if (stray) await stray.unsubscribe(); // nobody who is here asked for it
    }
    return stands();
  }

  document.getElementById("push").onclick = () => {
    const button = document.getElementById("push");
    if (button.getAttribute("aria-disabled") === "true") return;
    if (button.textContent === on) { next(turnOff, on); return; }
    // Asked in the click itself: later, browsers would not ask.
    const asking = Notification.requestPermission();
    next(async () => { if (await asking === "granted") await turnOn(); else await stands(); });
  };

  if (able) {
    navigator.serviceWorker.addEventListener("message", m => { if (m.data.type === "subscription") next(settle); });
    navigator.permissions?.query({ name: "notifications" }).then(p => { p.onchange = () => { if (key) next(settle); }; }, () => {});
  }

  return {
    // enter is told who is here, each time when the inbox was reached.
    enter: participant => next(async () => {
      who = participant;
      const answer = key ? null : await fetch("/v1/push/key", { signal: AbortSignal.timeout(10_000) }).catch(() => null);
      if (answer && answer.ok) key = (await answer.json()).public_key;
      if (key) { await stands(); await settle(); } // else there is nothing to turn on here
    }),
    // leave is for what another participant turned on in this browser.
    leave: () => silence().catch(() => {}),
    // seen closes the cards that is says so of.
    seen: async is => {
      if (!able || Notification.permission !== "granted") return;
      const cards = await worker().then(r => r.getNotifications()).catch(() => []);
      cards.forEach(card => { if (card.data && is(card.data)) card.close(); });
    },
  };
})();
