#!/usr/bin/env bash
# Sends what a team of the harbour hunt did to a gateway, the last of it twice,
# and reads the team's score. Run it again: the score stays what it is.
set -euo pipefail
url=${VELTRIX_URL:-http://127.0.0.1:8080}
auth=()
if [ -n "${VELTRIX_KEY:-}" ]; then auth=(-H "Authorization: Bearer $VELTRIX_KEY"); fi

# post sends the events of its input, one a line, until they are acknowledged.
# What may succeed later is repeated unchanged: no answer, 408, 429, 502, 503
# and 504. Anything but 202 after that is an error.
post() {
  local answer
  answer=$(curl -sS --retry 8 --retry-all-errors -w '%{http_code}\n' "${auth[@]}" \
    -H 'Content-Type: application/x-ndjson' --data-binary @- "$url/v1/events" | tail -n 2)
  if [ "${answer##*$'\n'}" != 202 ]; then
    echo "curl.sh: the gateway answered $answer" >&2
    return 1
  fi
  echo "$answer"
}

post <<'END' >/dev/null
{"specversion":"1.0","id":"1","source":"/example/curl","type":"team.joined","time":"2025-06-14T10:00:00Z","partitionkey":"team-curl","data":{"player":"ada"}}
{"specversion":"1.0","id":"2","source":"/example/curl","type":"clue.found","time":"2025-06-14T10:05:00Z","partitionkey":"team-curl","data":{"clue":"anchor","player":"ada","distance_m":5,"points":50}}
{"specversion":"1.0","id":"3","source":"/example/curl","type":"clue.found","time":"2025-06-14T10:09:00Z","partitionkey":"team-curl","data":{"clue":"lantern","player":"ada","distance_m":3,"points":40}}
END

# A hint costs ten points. Whoever did not hear the answer sends it again, with
# the same id, time and data.
hint='{"specversion":"1.0","id":"4","source":"/example/curl","type":"hint.used","time":"2025-06-14T10:12:00Z","partitionkey":"team-curl","data":{"clue":"bell","player":"ada","cost":10}}'
post <<<"$hint" >/dev/null
receipt=$(post <<<"$hint")

# The state has an event when the applied offset is above the event's.
offset=$(grep -o '"offset":[0-9]*' <<<"$receipt" | tail -n 1 | cut -d : -f 2)
for _ in {1..300}; do
  state=$(curl -sS "${auth[@]}" "$url/v1/participants/team-curl")
  applied=$(grep -o '"applied":[0-9]*' <<<"$state" | cut -d : -f 2 || true)
  if [ "${applied:-0}" -gt "$offset" ]; then
    echo "team-curl has $(grep -o '"score":[0-9-]*' <<<"$state" | cut -d : -f 2) points"
    exit
  fi
  sleep 0.1
done
echo "curl.sh: the events were not applied in time: is a processor running? The last answer: $state" >&2
exit 1
