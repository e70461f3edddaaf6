#!/usr/bin/env python3
"""Whether a run's memory grows: a real `otload run` with much of what it can do, its resident memory read every second.

    growth.py --otload target/release/otload                    twenty minutes
    growth.py --otload target/release/otload --minutes 5        shorter

Closed users and an open load beside each other, 500 requests a second to a target on 127.0.0.1, with templates, checks of
which some fail with ever new texts, groups, thresholds over sliding windows, a soak's windows of 5 s, the intervals of the
results folder, traces, a scrape of /metrics every 5 s in each of three forms, and somebody who asks for the status and annotates.
With --dead-collector nobody takes the traces: then the queue of spans fills up to its limit, which takes longer than a minute, so
that the figure has that in it too.

What counts is `Rss` of /proc/PID/smaps_rollup: the highest after the first minute, less the median of the ten seconds around
its end. It must stay under --bound MiB. What the end of the run takes, when the report is written from the intervals, is shown
beside it as the peak of the process, and has no bound. Needs the targets beside bench.py, found in --bench. Exits with 1 when
the bound is missed or the run failed; --json FILE writes the samples.
"""
import argparse, http.server, json, os, re, signal, statistics, subprocess, sys, tempfile, threading, time, urllib.request
from pathlib import Path

import whole

ROOT = Path(__file__).resolve().parent.parent

FORMS = ["application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
         "application/openmetrics-text;version=1.0.0", "text/plain;version=0.0.4"]

SCENARIO = """\
name: growth
host: http://127.0.0.1:{port}
warm_up: 10s
variables: {{currency: EUR}}
users:
  - name: Closed
    wait_time: {{between: [100ms, 200ms]}}
    load: {{users: 30}}
    on_start: [{{get: /session}}]
    tasks:
      - name: look
        weight: 3
        flow:
          - group: both
            flow:
              - get: /cars
                expect: {{status: 200, json: {{"$[0].brand": Tesla}}, max_time: 1s}}
              - get: "/cars/{{{{ random_int(1, 999999) }}}}?currency={{{{ currency }}}}"
                name: GET /cars/{{id}}
      - name: fail
        flow:
          - post: /orders
            json: {{id: "{{{{ uuid() }}}}", name: "{{{{ fake.name() }}}}"}}
            expect: {{body: {{contains: "{{{{ random_string(12) }}}}"}}}}
  - name: Open
    load: {{arrival_rate: 200/s, max_users: 20}}
    tasks:
{requests}
thresholds:
  - p95 < 2s
  - p99 of "GET /cars" < 2s over 30s
  - {{that: failure_ratio < 90% over 1m, abort: true, after: 30s}}
  - rps > 1 over 10s
observe:
  traces: {{endpoint: "http://127.0.0.1:{collector}", protocol: http, sample: 10%, keep: {{errors: true, slower_than: 5ms}}}}
  soak: {{window: 5s}}
validity: {{enabled: false}}
"""
REQUESTS = "\n".join(f"      - get: /planes/{number:02}" for number in range(20))


def kib(pid, name, file="smaps_rollup"):
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/{file}").read_text(), re.M)
    return int(found[1]) if found else 0


def ask(url, body=None, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers), timeout=5) as answer:
        return answer.read()


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes what it is sent, and says nothing of it."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def visitor(address, over, counted):
    """A scrape every 5 s and what a script asks for; what fails is counted too."""
    turn = 0
    while not over.wait(1):
        turn += 1
        try:
            if turn % 5 == 0:
                counted["scraped bytes"] = len(ask(f"http://{address}/metrics", accept=FORMS[turn // 5 % 3]))
                counted["scrapes"] += 1
            ask(f"http://{address}/api/v1/status")
            ask(f"http://{address}/api/v1/requests")
            if turn % 10 == 0:
                ask(f"http://{address}/api/v1/annotate", json.dumps({"text": f"turn {turn}"}).encode())
        except OSError as error:
            counted["refused"] += 1
            counted["why"] = str(error)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--otload", required=True, help="the release binary")
    parser.add_argument("--bench", default=ROOT.parent / "shared/bench", help="folder of bench.py (%(default)s)")
    parser.add_argument("--minutes", type=float, default=20, help="length of the run (%(default)s)")
    parser.add_argument("--bound", type=float, default=2, help="MiB that it may grow after the first minute (%(default)s)")
    parser.add_argument("--dead-collector", action="store_true", help="no collector takes the traces")
    parser.add_argument("--json", help="also write the samples here")
    args = parser.parse_args()
    if args.minutes < 1.5:
        parser.error("the first minute is left out, so that --minutes is at least 1.5")
    tools, port, seconds = whole.bench_module(args.bench), whole.free_port(), args.minutes * 60
    target, listen = tools.build_targets() / "cars-target", f"127.0.0.1:{whole.free_port()}"
    collector = whole.free_port()
    if not args.dead_collector:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
        collector = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
    rows, counted, over = [], {"scrapes": 0, "refused": 0}, threading.Event()
    with tempfile.TemporaryDirectory(prefix="otload-growth-") as folder, tools.Server(target, port):
        scenario = Path(folder) / "growth.yaml"
        scenario.write_text(SCENARIO.format(port=port, collector=collector, requests=REQUESTS))
        log = open(Path(folder) / "output.txt", "w+")
        run = subprocess.Popen([args.otload, "run", scenario, "--run-time", f"{seconds}s", "--listen", listen, "--linger", "0s",
                                "--out", Path(folder) / "results", "--quiet"], stdout=log, stderr=log)
        beside = threading.Thread(target=visitor, args=(listen, over, counted))
        beside.start()
        begin, peak = time.monotonic(), 0
        try:
            while run.poll() is None and (now := time.monotonic() - begin) < seconds + 90:
                try:
                    if now < seconds - 1:
                        rows.append((now, kib(run.pid, "Rss"), kib(run.pid, "Anonymous")))
                        if len(rows) % 60 == 0:
                            print(f"  {now:6.0f} s  Rss {rows[-1][1]:7} KiB  anonymous {rows[-1][2]:7} KiB", file=sys.stderr, flush=True)
                    peak = max(peak, kib(run.pid, "VmHWM", "status"))
                except OSError:
                    pass  # it has just ended
                time.sleep(1)
        finally:
            over.set()
            beside.join()
            if run.poll() is None:
                run.send_signal(signal.SIGKILL)
            code = run.wait()
        log.seek(0)
        text, found = log.read(), list(Path(folder).rglob("summary.json"))
        if code not in (0, 1) or not found:
            raise SystemExit(f"otload ended with {code}:\n{text[-3000:]}")
        summary = json.loads(found[0].read_text())
    sys.exit(judge(args, rows, counted, summary, peak))


def judge(args, rows, counted, summary, peak):
    """Prints the figures; the exit code."""
    after = [row for row in rows if row[0] >= 60]
    base = statistics.median(row[1] for row in rows if 55 <= row[0] < 65)
    growth = (max(row[1] for row in after) - base) / 1024
    last = (statistics.median(row[1] for row in after[-10:]) - base) / 1024
    totals = summary["totals"]
    print(f"{totals['requests']} requests in {summary['duration_seconds']:.0f} s, {totals['failures']} of them failures; "
          f"{counted['scrapes']} scrapes of {counted.get('scraped bytes', 0)} bytes; spans {summary['spans']}")
    print(f"Rss after a minute {base / 1024:.2f} MiB; at the end {last:+.2f}, at most {growth:+.2f} MiB; "
          f"peak of the process, the report's writing included, {peak / 1024:.2f} MiB")
    if args.json:
        Path(args.json).write_text(json.dumps({"growth_mib": growth, "last_mib": last, "base_kib": base, "peak_kib": peak,
                                               "seconds_rss_anonymous": rows}))
    busy = totals["requests"] > 300 * summary["duration_seconds"]
    seen = counted["scrapes"] > args.minutes * 60 / 5 * 0.8
    for what, holds in [(f"growth: {growth:.2f} < {args.bound} MiB", growth < args.bound),
                        ("300 requests a second or more", busy), (f"scraped all along {counted}", seen)]:
        print("holds " if holds else "MISSED", what)
    return 0 if growth < args.bound and busy and seen else 1


if __name__ == "__main__":
    main()
