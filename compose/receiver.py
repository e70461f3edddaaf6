"""A receiver of Alertmanager's webhooks that shows what came: for trying things out, and for tests.

    python3 receiver.py --listen 127.0.0.1:9095

Each alert is a line on standard output. `GET /` has the latest ones as text, newest first, `GET /alerts` as JSON, oldest first; they are
kept in memory, and only so many.
"""

import argparse
import collections
import datetime
import http.server
import json
import threading

KEPT = 500
LARGEST_BODY = 1 << 20

alerts = collections.deque(maxlen=KEPT)
lock = threading.Lock()


def line(alert):
    labels, notes = alert["labels"], alert["annotations"]
    place = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name not in ("alertname", "severity"))
    what = f'{alert["at"]}  {alert["status"]:<8}  {labels.get("severity", "-"):<8}  {labels.get("alertname", "?")}  ({place})'
    return f'{what}  {notes.get("summary", "")}'.rstrip()


def take(message):
    """Notes the alerts of one message; a message of another form is a ValueError."""
    if not isinstance(message, dict) or not isinstance(message.get("alerts"), list):
        raise ValueError("a message of Alertmanager has a list `alerts`")
    at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    taken = []
    for alert in message["alerts"]:
        if not isinstance(alert, dict) or not isinstance(alert.get("labels"), dict):
            raise ValueError("an alert has `labels`")
        notes = alert.get("annotations")
        notes = notes if isinstance(notes, dict) else {}
        taken.append({"at": at, "status": str(alert.get("status", "?")), "labels": alert["labels"], "annotations": notes})
    with lock:
        alerts.extend(taken)
    for alert in taken:
        print(line(alert), flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    timeout = 30

    def do_GET(self):
        with lock:
            known = list(alerts)
        if self.path == "/healthz":
            self.answer(200, "ok\n")
        elif self.path == "/alerts":
            self.answer(200, json.dumps(known, indent=2) + "\n", "application/json")
        elif self.path == "/":
            lines = [line(alert) for alert in reversed(known)]
            self.answer(200, "\n".join(lines or ["no alert has come yet"]) + "\n")
        else:
            self.answer(404, "there is nothing here: / /alerts /healthz\n")

    def do_POST(self):
        try:
            length = int(self.headers.get("content-length", ""))
            if not 0 <= length <= LARGEST_BODY:
                raise ValueError(f"the body is larger than {LARGEST_BODY} bytes")
            take(json.loads(self.rfile.read(length)))
        except ValueError as error:
            self.answer(400, f"{error}\n")
            return
        self.answer(200, "ok\n")

    def answer(self, status, text, kind="text/plain"):
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", f"{kind}; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Only alerts are printed."""


def main():
    parser = argparse.ArgumentParser(description="Shows the alerts that Alertmanager sends.")
    parser.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:9095")
    host, _, port = parser.parse_args().listen.rpartition(":")
    server = http.server.ThreadingHTTPServer((host, int(port)), Handler)
    print(f"alerts are shown on http://{host}:{port}/", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
