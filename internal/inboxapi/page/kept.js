"use strict";
// What this browser keeps from one visit to the next, for the page and for its
// service worker: they share nothing else, and the worker may die at any time.
//
// Invariant: all of it is of one participant, the owner. It is written under that
// owner's name or not at all, and wiped in the transaction in which another
// becomes the owner. It is shown to whoever has a token that the notifier took
// for the owner before; of that token only a digest is kept, and the token itself
// only while notifications are on.
//
// kept has "owner" {participant, digest, token}, "list" (the page's), "ack" (what
// was seen and is not sent yet) and "device" (device.js); cards has, by
// notification, the newest revision that the worker dealt with.
const kept = (() => {
  const cardsMax = 500;
  let opening = null;

  const done = request => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

  function open() {
    if (!opening) {
      const request = indexedDB.open("inbox", 1);
      request.onupgradeneeded = () => ["kept", "cards"].forEach(name => request.result.createObjectStore(name));
      opening = done(request).then(db => {
        db.onversionchange = db.onclose = () => { db.close(); opening = null; };
        return db;
      });
      opening.catch(() => { opening = null; });
    }
    return opening;
  }

  // within is one transaction: work does nothing but requests of its stores.
  async function within(mode, work) {
    const tx = (await open()).transaction(["kept", "cards"], mode);
    const ended = new Promise((resolve, reject) => { tx.oncomplete = resolve; tx.onabort = () => reject(tx.error); });
    ended.catch(() => {}); // where work fails, its own error tells
    const result = await work(tx.objectStore("kept"), tx.objectStore("cards"));
    await ended;
    return result;
  }

  // owned runs work if the participant is the owner still, in that transaction.
  const owned = (participant, work) => within("readwrite", async (store, cards) => {
    const owner = await done(store.get("owner"));
    if (!owner || owner.participant !== participant) return false;
    await work(store, cards, owner);
    return true;
  }).catch(() => false); // a browser that keeps nothing has a page all the same

  return {
    get: key => within("readonly", store => done(store.get(key))).catch(() => undefined),
    put: (participant, key, value) => owned(participant, store => done(store.put(value, key))),
    // change puts what to makes of the present value; undefined takes it out.
    change: (participant, key, to) => owned(participant, async store => {
      const value = to(await done(store.get(key)));
      await done(value === undefined ? store.delete(key) : store.put(value, key));
    }),

    // claim makes the participant the owner, and wipes what was another's.
    claim: (participant, digest) => within("readwrite", async (store, cards) => {
      const owner = await done(store.get("owner"));
      const same = owner && owner.participant === participant;
      if (owner && !same) await Promise.all([done(store.clear()), done(cards.clear())]);
      await done(store.put({ ...(same ? owner : {}), participant, digest }, "owner"));
    }).catch(() => {}),

    // remember keeps the owner's token for visits without one, or with "" forgets it.
    remember: (participant, token) => owned(participant, (store, _, owner) => done(store.put({ ...owner, token }, "owner"))),

    cards: () => within("readonly", (_, cards) => done(cards.getAll())).catch(() => []),
    card: id => within("readonly", (_, cards) => done(cards.get(id))).catch(() => undefined),
    note: (id, card) => within("readwrite", async (_, cards) => {
      await done(cards.put(card, id));
      if (await done(cards.count()) <= cardsMax) return;
      const [ids, all] = await Promise.all([done(cards.getAllKeys()), done(cards.getAll())]);
      const oldest = all.map((c, i) => [c.at, ids[i]]).sort((a, b) => a[0] - b[0]).slice(0, all.length - cardsMax);
      await Promise.all(oldest.map(([, old]) => done(cards.delete(old))));
    }).catch(() => {}),

    // digest is what is kept of a token; "" where the browser cannot make one.
    digest: async text => self.crypto && crypto.subtle
      ? Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))), b => b.toString(16).padStart(2, "0")).join("")
      : "",
  };
})();
