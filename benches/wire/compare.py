"""compare.py WIRE_BENCH TARGETS [ROUNDS]: wire beside the floor and wrk; TARGETS holds cars-target and floor.

Short interleaved runs; the minimum and the median of each, which a busy machine disturbs least."""
import re, statistics, subprocess, sys, time
B,T=sys.argv[1:3]; port="18098"; url=f"http://127.0.0.1:{port}/cars"
rounds=int(sys.argv[3]) if len(sys.argv)>3 else 8
target=subprocess.Popen([f"{T}/cars-target",port]); time.sleep(.4)
def otl(mode): return lambda: float(re.search(r"request=([\d.]+)",subprocess.run([B,url,"1","64",mode],capture_output=True,text=True).stdout)[1])
def floor(): return float(re.search(r"request=([\d.]+)",subprocess.run([f"{T}/floor",port,"1"],capture_output=True,text=True).stdout)[1])
def wrk():
    r=subprocess.run(["/usr/bin/time","-f","CPU %U %S","wrk","-t1","-c64","-d1s",url],capture_output=True,text=True); t=r.stdout+r.stderr
    u,s=map(float,re.search(r"CPU (\S+) (\S+)",t).groups()); return (u+s)*1e6/int(re.search(r"(\d+) requests in",t)[1])
runs={"floor":floor,"wrk":wrk,"prepared":otl("prepared"),"plain":otl("plain"),"kept":otl("kept")}
rows={k:[] for k in runs}
try:
    for _ in range(rounds):
        for k,f in runs.items(): rows[k].append(f())
finally: target.terminate()
m={k:(min(v),statistics.median(v)) for k,v in rows.items()}
for k,(a,b) in m.items(): print(f"{k:9} min {a:5.2f} median {b:5.2f}  of floor {a/m['floor'][0]:.2f} {b/m['floor'][1]:.2f}  of wrk {a/m['wrk'][0]:.2f} {b/m['wrk'][1]:.2f}")
