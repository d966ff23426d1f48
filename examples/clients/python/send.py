"""Sends what a team of the harbour hunt did to a gateway, the last of it twice,
and reads the team's score. Run it again: the score stays what it is.

The events are the CloudEvents SDK's; they go as structured JSON, one a request.
"""

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from datetime import datetime, timezone

from cloudevents.core.bindings.http import to_structured_event
from cloudevents.core.v1.event import CloudEvent

URL = os.environ.get("VELTRIX_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("VELTRIX_KEY")
TEAM = "team-python"
AGAIN = {408, 429, 502, 503, 504}  # what may succeed later


def event(number, kind, minute, data):
    """An event with an id and a time of its own: both stay when it is repeated."""
    return CloudEvent(
        attributes={
            "id": str(number),
            "source": "/example/python",
            "type": kind,
            "time": datetime(2025, 6, 14, 10, minute, tzinfo=timezone.utc),
            "partitionkey": TEAM,
        },
        data=data,
    )


def request(path, headers=None, body=None):
    """Answers with the status, the headers and the body."""
    headers = dict(headers or {})
    if KEY:
        headers["Authorization"] = f"Bearer {KEY}"
    try:
        with urllib.request.urlopen(urllib.request.Request(URL + path, body, headers), timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.headers, refusal.read()


def send(sent):
    """Sends an event until it is acknowledged, the same bytes each time, and returns its offset."""
    message = to_structured_event(sent)
    wait = 0.1
    while True:
        try:
            status, headers, body = request("/v1/events", message.headers, message.body)
        except (OSError, http.client.HTTPException) as lost:  # it may have arrived
            status, headers, body = 503, {}, str(lost).encode()
        if status == 202:
            return json.loads(body)["positions"][0]["offset"]
        if status not in AGAIN or wait > 30:
            raise SystemExit(f"send.py: the gateway answered {status}: {body.decode()}")
        time.sleep(max(wait, float(headers.get("Retry-After", 0))))
        wait *= 2


def score(offset):
    """Reads the score when the state has the event: the applied offset is above the event's."""
    for _ in range(300):
        status, _, body = request(f"/v1/participants/{TEAM}")
        if status == 200:
            view = json.loads(body)
            if view["position"]["applied"] > offset:
                return view["state"]["score"]
        time.sleep(0.1)
    raise SystemExit(f"send.py: the events were not applied in time: is a processor running? The last answer: {body.decode()}")


send(event(1, "team.joined", 0, {"player": "ada"}))
send(event(2, "clue.found", 5, {"clue": "anchor", "player": "ada", "distance_m": 5, "points": 50}))
send(event(3, "clue.found", 9, {"clue": "lantern", "player": "ada", "distance_m": 3, "points": 40}))
# A hint costs ten points. Whoever did not hear the answer sends it again.
hint = event(4, "hint.used", 12, {"clue": "bell", "player": "ada", "cost": 10})
send(hint)
print(f"{TEAM} has {score(send(hint))} points")
