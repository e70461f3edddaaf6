#!/usr/bin/env python3
"""Measures what tracing costs, and what a bad collector can do to a run.

    traces.py cost         requests per CPU-second with 1% exported:
              live         … to one that takes them, against wrk's
              dead         … to one that refuses connections, against otload without traces
              blackholed   … to one that never answers a connection, against the same
              slow         … to one that answers after 10 s, against the same
              alone        … to one that takes them, against the same scenario without `observe`
    traces.py memory       20,000 requests a second for 30 s, all of them exported: resident memory after the first 5 s
              memory-live  … to one that takes them
              memory-dead  … to one that refuses connections
    traces.py collectors   1,990 requests a second, all of them exported: lag of the schedule, against a run without traces
              taking       … to one that takes them
              refusing     … to one that refuses connections
              resetting    … to one that cuts each connection
              throttling   … to one that answers 429 with Retry-After
              partial      … to one that refuses half of each message
              garbage      … to one whose answers make no sense
              away         … to one that is away for 20 s in the midst of 40 s
    traces.py all          all of them; each can also be asked for by its name

    traces.py cost --otload target/release/otload --rounds 5 --json traces.json

As whole.py does: pairs of runs in turns, the median of their ratios, and the least and the largest beside it. `cost` runs
bench.py's scenarios: throughput-traced.yaml with another endpoint, against throughput.yaml. In `memory` and `collectors` each
request is a trace (`per: request`), so that spans = requests; after each run all of them are exported, or dropped for a reason
that the collector gave cause for, or the run is in error. The live collector is rotel over gRPC, if it is found, else one of
collectors.py. Everything stays on 127.0.0.0/8. Exits with 1 if a bound is missed or something failed.
"""
import argparse, contextlib, json, os, re, statistics, subprocess, sys, tempfile, threading, time, urllib.request
from pathlib import Path

import collectors as bad
import whole

# What must hold: (figure, at least or at most, bound, unit).
BOUNDS = [
    ("live", ">=", 0.90, "of wrk's requests per CPU-second, 1% exported"),
    *((name, ">=", 0.90, "of otload plain's requests per CPU-second") for name in ("dead", "blackholed", "slow")),
    *((f"memory-{name}.deviation_mib", "<=", 10, "MiB from what it was after 5 s") for name in ("live", "dead")),
    *((f"{name}.p99", "<=", 1.20, "of the p99 of the schedule's lag without traces") for name in
      ("taking", "refusing", "resetting", "throttling", "partial", "garbage", "away")),
]


# === collectors ===

class Rotel:
    """A real receiver, over gRPC."""
    protocol = "grpc"

    def __init__(self, program):
        self.program, self.ports = program, (whole.free_port(), whole.free_port())
        self.endpoint = f"http://127.0.0.1:{self.ports[0]}"

    def __enter__(self):
        grpc, http = (f"127.0.0.1:{port}" for port in self.ports)
        self.process = subprocess.Popen(
            [self.program, "start", "--exporter=blackhole", f"--otlp-grpc-endpoint={grpc}", f"--otlp-http-endpoint={http}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            with contextlib.suppress(OSError), bad.socket.create_connection(("127.0.0.1", self.ports[0]), 1):
                return self
            time.sleep(0.05)
        self.__exit__()
        raise SystemExit(f"{self.program} did not start")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def live(bench):
    return Rotel(bench.args.rotel) if bench.args.rotel else bad.Talking()


def find_rotel():
    folder = Path(os.environ.get("CARGO_TARGET_DIR", whole.ROOT / "target"))
    return next(iter(sorted(folder.glob("venv/lib/*/site-packages/rotel/rotel-agent"))), None)


# === cost ===

def bench_scenario(bench, name, collector=None):
    """One of bench.py's scenarios, at our port; with a collector, or without `observe` if there is none."""
    text = (Path(bench.args.bench) / f"{name}.yaml").read_text().replace(":18080", f":{bench.args.port}")
    observe = text.find("\nobserve:")
    if collector:
        protocol = f'endpoint: "{collector.endpoint}", protocol: {collector.protocol}'
        text, found = re.subn(r'endpoint: "[^"]*"', protocol, text)
        if found != 1 or "sample: 1%" not in text:
            raise SystemExit(f"{name}.yaml is not as it was: no endpoint, or another share")
    elif observe >= 0:
        text = text[:observe + 1]
    path = bench.folder / f"{name}-{collector.endpoint.rsplit(':', 1)[1] if collector else 'alone'}.yaml"
    path.write_text(text)
    return path


def cost(make, base, takes=False):
    def run(bench, name):
        def traced():
            summary, cpu, _ = bench.otload(scenario, bench.seconds)
            spans, totals = summary["spans"], summary["totals"]
            if totals["failures"] or spans["offered"] == 0 or spans["exported"] != (spans["offered"] if takes else 0):
                raise SystemExit(f"{name}: {totals['failures']} failures, and of spans {json.dumps(spans)}")
            return totals["requests"] / cpu

        with make(bench) as collector:
            scenario = bench_scenario(bench, "throughput-traced", collector)
            return bench.ratio(name, traced, base(bench))
    return run


def against_wrk(bench):
    return lambda: whole.wrk(bench, 1, 64)


def against(name):
    """Without traces."""
    def base(bench):
        scenario = bench_scenario(bench, name)
        return lambda: bench.rate(scenario)
    return base


# === what became of spans ===

def account(name, summary, expected):
    """Says what is wrong with a run in which each request was to be exported."""
    spans, requests = summary["spans"], summary["totals"]["requests"]
    dropped = spans["dropped"]
    problems = []
    if spans["offered"] != requests or spans["exported"] + sum(dropped.values()) + spans["queued"] != requests:
        problems.append(f"{requests} requests")
    must, may = expected
    if not must <= dropped.keys() <= must | may:
        problems.append(f"dropped for {sorted(must)}, perhaps {sorted(may)}")
    if summary["totals"]["failures"] or summary["arrivals_dropped"]:
        problems.append(f"no failures ({summary['totals']['failures']}) and no dropped arrivals ({summary['arrivals_dropped']})")
    if problems:
        raise SystemExit(f"{name}: expected {', and '.join(problems)}; got {json.dumps(spans)}")
    return spans


def add_up(rows):
    """Of several runs."""
    total = {"exported": 0, "queued": 0, "dropped": {}}
    for spans in rows:
        total["exported"] += spans["exported"]
        total["queued"] += spans["queued"]
        for reason, count in spans["dropped"].items():
            total["dropped"][reason] = total["dropped"].get(reason, 0) + count
    return total


def open_load(bench, name, rate, collector=None):
    path = bench.scenario(name, f"{{arrival_rate: {rate}/s, max_users: 500}}")
    if collector:
        with path.open("a") as out:
            out.write(f'observe:\n  traces: {{endpoint: "{collector.endpoint}", protocol: {collector.protocol}, sample: 100%, '
                      f"per: request}}\n")
    return path


# === memory ===

def watched(bench, scenario, seconds):
    """Returns (summary.json, [(second, resident KiB)], the last /metrics, CPU seconds of the process and of the exporter)."""
    listen, samples, scrape, cpu = f"127.0.0.1:{whole.free_port()}", [], "", (0, 0)
    with tempfile.TemporaryDirectory(dir=bench.folder) as out:
        process = subprocess.Popen(
            [bench.args.otload, "run", scenario, "--workers", "1", "--run-time", f"{seconds}s", "--listen", listen, "--linger",
             "5s", "--out", out, "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        started = time.monotonic()
        try:
            while process.poll() is None:
                since = time.monotonic() - started
                if since > seconds + 60:
                    raise SystemExit(f"{scenario.stem}: it does not end")
                with contextlib.suppress(OSError, TypeError):  # it has ended meanwhile
                    status = Path(f"/proc/{process.pid}/status").read_text()
                    samples.append((since, int(re.search(r"VmRSS:\s+(\d+)", status)[1])))
                    cpu = tuple(map(max, cpu, processor_time(process.pid)))
                if len(samples) % 4 == 0:
                    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{listen}/metrics", timeout=1) as answer:
                        scrape = answer.read().decode()
                time.sleep(0.25)
            problems = process.stderr.read()
        finally:
            process.kill()
            process.wait()
        found = list(Path(out).rglob("summary.json"))
        if process.returncode not in (0, 3) or not found:
            raise SystemExit(f"otload failed with {process.returncode}:\n{problems[-2000:]}")
        return json.loads(found[0].read_text()), samples, scrape, cpu


def stat(folder):
    """Name and CPU seconds of a process or a thread."""
    name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
    return name, sum(map(int, rest.split()[11:13])) / os.sysconf("SC_CLK_TCK")


def processor_time(pid):
    """Of the whole process, and of the thread that exports, as long as that is there."""
    threads = dict(map(stat, Path(f"/proc/{pid}/task").iterdir()))
    return stat(Path(f"/proc/{pid}"))[1], threads.get("otlp", 0)


def counted(scrape, metric):
    return sum(float(line.split()[-1]) for line in scrape.splitlines() if line.startswith(metric) and line[len(metric)] in "{ ")


def memory(make, expected):
    def run(bench, name):
        with bench.target(), make(bench) as collector:
            scenario = open_load(bench, name, 20_000, collector)
            summary, samples, scrape, (cpu, exporter) = watched(bench, scenario, 30)
        spans, requests = account(name, summary, expected), summary["totals"]["requests"]
        seen = [counted(scrape, f"otload_{metric}_total") for metric in ("requests", "spans_exported", "spans_dropped")]
        if seen[0] != requests or seen[1] + seen[2] != requests or spans["queued"]:
            raise SystemExit(f"{name}: {requests} requests, and the last /metrics has {seen}: requests, exported, dropped")
        check(name, spans, collector)
        after = [kib / 1024 for second, kib in samples if second >= 5]
        least, most = min(after) - after[0], max(after) - after[0]
        deviation = max(-least, most)
        print(f"{name:16}{after[0]:.1f} MiB after 5 s, then {least:+.1f} to {most:+.1f}; {requests} requests, {cpu:.1f} CPU-s, "
              f"the exporter's {exporter:.1f}; {shown(spans)}")
        return {f"{name}.deviation_mib": deviation, f"{name}.mib": after[0], f"{name}.spans": spans, f"{name}.requests": requests,
                f"{name}.cpu_s": cpu, f"{name}.exporter_cpu_s": exporter, f"{name}.samples": samples}
    return run


def shown(spans):
    dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(spans["dropped"].items()))
    return f"{spans['exported']} exported, dropped: {dropped or 'none'}"


# === collectors ===

# Not 2,000: arrivals every half millisecond keep their distance to the kernel's tick for all of a run, and by what it is in a
# run the p99 is 60 or 130 µs.
RATE = 1_990


def collectors(make, must=(), may=(), away=None):
    """Runs as long as `--seconds` says, or through what `away` says: (when, how long, the run's length)."""
    def run(bench, name):
        seconds, rounds = (away[2], min(bench.args.rounds, 2)) if away else (bench.args.seconds, bench.args.rounds)

        def traced():
            with make(bench) as collector:
                scenario = open_load(bench, name, RATE, collector)
                if away:
                    collector.away(*away[:2])
                summary, *_ = bench.otload(scenario, seconds)
                spans = account(name, summary, (set(must), set(may)))
                check(name, spans, collector)
                return summary["schedule_lag_seconds"], spans

        def plain():
            return bench.otload(open_load(bench, "plain", RATE), seconds)[0]["schedule_lag_seconds"], None

        pairs = []
        with bench.target():
            for turn in range(rounds):
                (ours, spans), (base, _) = [traced(), plain()] if turn % 2 == 0 else [plain(), traced()][::-1]
                pairs.append((ours, base, spans))
                print(f"  {name}: p99 {ours['p99'] * 1e6:.0f} to {base['p99'] * 1e6:.0f}, p90 {ours['p90'] * 1e6:.0f} to "
                      f"{base['p90'] * 1e6:.0f}", file=sys.stderr)
        spans = add_up(pair[2] for pair in pairs)
        result = {f"{name}.spans": spans, f"{name}.pairs": [pair[:2] for pair in pairs]}
        for key in ("p50", "p90", "p99"):
            ours, base = ([pair[side][key] * 1e6 for pair in pairs] for side in (0, 1))
            ratios = [our / other for our, other in zip(ours, base)]
            result[f"{name}.{key}"] = statistics.median(ratios)
            print(f"{f'{name} {key}':16}{statistics.median(ours):12.0f}{statistics.median(base):12.0f}"
                  f"{statistics.median(ratios):9.3f}{min(ratios):9.3f}{max(ratios):9.3f}")
        print(f"{'':16}{shown(spans)}")
        return result
    return run


def check(name, spans, collector):
    """What was exported is what the collector took; one that went away could not say of the last that it had."""
    if isinstance(collector, bad.Talking):
        exported, taken = spans["exported"], collector.taken
        if exported > taken or (exported < taken and name != "away"):
            raise SystemExit(f"{name}: {exported} exported, and the collector took {taken}")


END = {"shutdown"}
SLOW = {"queue_full", "shutdown"}
WHAT = {
    "live": cost(live, against_wrk, takes=True),
    "dead": cost(lambda _: bad.Dead(), against("throughput")),
    "blackholed": cost(lambda _: bad.Blackholed(), against("throughput")),
    "slow": cost(lambda _: bad.Talking(bad.slow), against("throughput")),
    "alone": cost(live, against("throughput-traced"), takes=True),
    "memory-live": memory(live, (set(), SLOW)),
    "memory-dead": memory(lambda _: bad.Dead(), ({"queue_full", "unreachable"}, END)),
    "taking": collectors(lambda _: bad.Talking()),
    "refusing": collectors(lambda _: bad.Dead(), {"unreachable"}, SLOW),
    "resetting": collectors(lambda _: bad.Resetting(), {"unreachable"}, SLOW),
    "throttling": collectors(lambda _: bad.Talking(bad.throttled), {"rejected"}, SLOW),
    "partial": collectors(lambda _: bad.Talking(bad.partial), {"partial"}),
    "garbage": collectors(lambda _: bad.Talking(bad.garbage), {"protocol"}),
    "away": collectors(lambda _: bad.Talking(), {"queue_full", "unreachable"}, away=(10, 20, 40)),
}
GROUPS = {"cost": ["live", "dead", "blackholed", "slow", "alone"], "memory": ["memory-live", "memory-dead"],
          "collectors": list(WHAT)[7:], "all": list(WHAT)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=[*GROUPS, *WHAT])
    parser.add_argument("--otload", required=True, help="the release binary")
    parser.add_argument("--bench", default=whole.ROOT.parent / "shared/bench", help="folder of bench.py (%(default)s)")
    parser.add_argument("--rotel", default=find_rotel(), help="the live collector's program (%(default)s)")
    parser.add_argument("--port", type=int, default=18190, help="the target's")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs for each ratio; of `away` at most 2")
    parser.add_argument("--seconds", type=int, default=5, help="length of one run of a ratio")
    parser.add_argument("--json", help="also write the figures here")
    args = parser.parse_args()
    names, result = dict.fromkeys(name for what in args.what for name in GROUPS.get(what, [what])), {}
    with tempfile.TemporaryDirectory(prefix="otload-traces-") as folder:
        bench = whole.Bench(args, folder)
        print(f"{'req/CPU-s, or µs':16}{'traced':>12}{'base':>12}{'ratio':>9}{'least':>9}{'most':>9}")
        for name in names:
            result |= WHAT[name](bench, name)
    missed = whole.judge(result, BOUNDS)
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=2))
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
