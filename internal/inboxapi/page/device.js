"use strict";
// How this browser becomes one of the player's devices; for the page and for its
// service worker, which renews a subscription while no page is open.
//
// "device" in kept says what the player wants, before anything is done about it,
// so that whoever finds it half done can bring it to its end:
// {want: "on" | "off", id, key, sent, at}. sent is what the notifier knows.
const renewAfter = 24 * 60 * 60 * 1000; // ms: a notifier that lost its devices learns of them again

// enrol registers a subscription, unless the notifier knows it. It throws with a
// sentence for the player.
async function enrol(participant, token, device, subscription) {
  const body = subscription.toJSON();
  const sent = JSON.stringify([device.key, body.endpoint, body.keys.p256dh, body.keys.auth]);
  if (device.sent === sent && Date.now() - device.at < renewAfter) return;
  const answer = await overDevice(participant, token, device.id, { method: "PUT", body: JSON.stringify(body) });
  if (!answer) throw new Error("The inbox cannot be reached.");
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || "The inbox refused.");
  // Meanwhile the player may have turned it off in another tab.
  await kept.change(participant, "device", d => d && d.want === "on" ? { ...d, key: device.key, sent, at: Date.now() } : d);
}

// overDevice makes a request about the device; null where it cannot be made.
function overDevice(participant, token, id, request) {
  return fetch(`/v1/participants/${encodeURIComponent(participant)}/devices/${encodeURIComponent(id)}`,
    { ...request, headers: { Authorization: "Bearer " + token }, signal: AbortSignal.timeout(10_000) }).catch(() => null);
}
