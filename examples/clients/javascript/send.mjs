// Sends what a team of the harbour hunt did to a gateway, the last of it twice,
// and reads the team's score. Run it again: the score stays what it is.
//
// The events are the CloudEvents SDK's; they go in binary mode, one a request.

import { setTimeout as sleep } from "node:timers/promises";
import { CloudEvent, HTTP } from "cloudevents";

const url = process.env.VELTRIX_URL ?? "http://127.0.0.1:8080";
const auth = process.env.VELTRIX_KEY ? { authorization: `Bearer ${process.env.VELTRIX_KEY}` } : {};
const team = "team-javascript";
const again = [408, 429, 502, 503, 504]; // what may succeed later

// An event with an id and a time of its own: both stay when it is repeated.
function event(number, type, minute, data) {
  const time = new Date(Date.UTC(2025, 5, 14, 10, minute)).toISOString();
  return new CloudEvent({ id: String(number), source: "/example/javascript", type, time, partitionkey: team, data });
}

// send sends an event until it is acknowledged, the same bytes each time, and
// returns its offset.
async function send(sent) {
  const { headers, body } = HTTP.binary(sent);
  for (let wait = 100; ; wait *= 2) {
    let status, text, after = 0;
    try {
      const answer = await fetch(`${url}/v1/events`, { method: "POST", headers: { ...headers, ...auth }, body });
      [status, text, after] = [answer.status, await answer.text(), Number(answer.headers.get("retry-after"))];
    } catch (lost) {
      [status, text] = [503, String(lost)]; // it may have arrived
    }
    if (status === 202) return JSON.parse(text).positions[0].offset;
    if (!again.includes(status) || wait > 30_000) throw new Error(`the gateway answered ${status}: ${text}`);
    await sleep(Math.max(wait, after * 1000));
  }
}

// score reads the score when the state has the event: the applied offset is
// above the event's.
async function score(offset) {
  let text;
  for (let n = 0; n < 300; n++) {
    const answer = await fetch(`${url}/v1/participants/${team}`, { headers: auth });
    text = await answer.text();
    if (answer.ok) {
      const { state, position } = JSON.parse(text);
      if (position.applied > offset) return state.score;
    }
    await sleep(100);
  }
  throw new Error(`the events were not applied in time: is a processor running? The last answer: ${text}`);
}

await send(event(1, "team.joined", 0, { player: "ada" }));
await send(event(2, "clue.found", 5, { clue: "anchor", player: "ada", distance_m: 5, points: 50 }));
await send(event(3, "clue.found", 9, { clue: "lantern", player: "ada", distance_m: 3, points: 40 }));
// A hint costs ten points. Whoever did not hear the answer sends it again.
const hint = event(4, "hint.used", 12, { clue: "bell", player: "ada", cost: 10 });
await send(hint);
console.log(`${team} has ${await score(await send(hint))} points`);
