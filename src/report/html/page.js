"use strict";
// Draws the charts of the page from the data that is in it. Colours come from the style sheet, so they follow light, dark and paper.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const element = id => document.getElementById(id);
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const PHASES = { warm_up: "warm-up", ramp: "ramp", steady: "steady", ramp_down: "ramp-down", done: "done", paused: "paused" };
  const DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3], [12, 4], [4, 4], [1, 4], [14, 3, 3, 3]];
  const CURVES = 7;
  // Room for the axes: the same for all charts, so that moments are below each other.
  const [LEFT, RIGHT] = [74, 54];

  // --- numbers as text ---

  const digits = value => (value < 1 ? 3 : value < 10 ? 2 : value < 100 ? 1 : 0);
  const figure = value => (value == null ? "–" : value === 0 ? "0" : value.toLocaleString("en", { maximumFractionDigits: digits(Math.abs(value)) }));
  const millis = value => (value == null ? "–" : value >= 10000 ? figure(value / 1000) + " s" : figure(value) + " ms");
  const two = value => String(value).padStart(2, "0");
  const clock = seconds => {
    const whole = Math.round(seconds);
    const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
  };

  // --- what all charts over time share ---

  const end = Math.max(...data.phases.map(phase => phase[1]), data.at[data.at.length - 1]);

  // Behind the lines: the phases.
  const shade = plot => {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const [from, to, phase] of data.phases) {
      const [left, right] = [plot.valToPos(from, "x", true), plot.valToPos(to, "x", true)];
      ctx.fillStyle = colour(phase);
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
    }
    ctx.restore();
  };

  // Before the lines: limits with their text, and remarks with their numbers.
  const overlay = (limits, scale) => plot => {
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    ctx.lineWidth = ratio;
    for (const limit of limits) {
      const y = plot.valToPos(limit.value, scale, true);
      ctx.strokeStyle = ctx.fillStyle = colour("limit");
      ctx.setLineDash([6 * ratio, 4 * ratio]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.textAlign = "right";
      ctx.fillText(limit.label, bbox.left + bbox.width - 6 * ratio, y - 4 * ratio);
    }
    data.marks.forEach((mark, number) => {
      const x = plot.valToPos(mark.at, "x", true);
      ctx.strokeStyle = ctx.fillStyle = colour("mark");
      ctx.setLineDash([2 * ratio, 3 * ratio]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.textAlign = "left";
      ctx.fillText(String(number + 1), x + 3 * ratio, bbox.top + 11 * ratio);
    });
    ctx.restore();
  };

  const axis = (format, more) => ({
    stroke: colour("axis"),
    grid: { stroke: colour("grid"), width: 1 },
    ticks: { stroke: colour("grid"), width: 1, size: 5 },
    font: "12px system-ui, sans-serif",
    values: (_, splits) => splits.map(value => (value == null ? "" : format(value))),
    ...more,
  });
  const line = (label, name, format, more) => ({
    label,
    stroke: colour(name),
    width: 1.75,
    points: { show: data.at.length < 40, size: data.at.length < 3 ? 9 : 5, fill: colour(name) },
    value: (_, value) => format(value),
    spanGaps: false,
    ...more,
  });

  const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800];
  const options = (target, extra) => ({
    width: Math.max(target.clientWidth, 280),
    height: 260,
    padding: [10, RIGHT, 0, 0],
    cursor: { sync: { key: "time", scales: ["x", null] }, points: { size: 6 }, focus: { prox: 16 } },
    legend: { live: true },
    ...extra,
    scales: { x: { time: false, range: (_, low, high) => (low === data.at[0] && high === data.at[data.at.length - 1] ? [0, end] : low === high ? [0, end] : [low, high]) }, ...extra.scales },
  });
  const times = { label: "Time", value: (_, value) => (value == null ? "–" : clock(value)) };
  const timeAxis = () => axis(clock, { incrs: STEPS, space: 70 });
  const upTo = values => {
    const most = Math.max(0, ...values.filter(value => value != null));
    return most > 0 ? most : 1;
  };
  const fromZero = limits => (_, low, high) => [0, Math.max(upTo([high]), ...limits.map(limit => limit.value)) * 1.08];

  // A limit that is far above the data would flatten it: it is named below the chart instead.
  const near = (limits, most) => limits.filter(limit => limit.value <= most * 3);

  // --- the charts ---

  let plots = [];
  const put = (id, text, build) => {
    const target = element(id);
    target.replaceChildren();
    target.setAttribute("aria-label", text);
    plots.push(build(target));
  };

  const draw = () => {
    plots.forEach(plot => plot.destroy());
    plots = [];
    const shown = data.lines[Number(element("which").value)] ?? data.lines[0];
    const all = shown === data.lines[0];
    const logarithmic = element("log").checked;
    const own = data.limits.filter(limit => (limit.request === null ? all : limit.request === shown.name));
    const ofRate = near(own.filter(limit => limit.unit === "per_second"), upTo(shown.requests));
    const ofTimes = own.filter(limit => limit.unit === "ms");

    put("rate", `Requests per second of ${shown.name}, at most ${figure(upTo(shown.requests))}, and users, at most ${upTo(data.users)}, over time`, target =>
      new uPlot(options(target, {
        padding: [10, 0, 0, 0],
        scales: { y: { range: fromZero(ofRate) }, users: { range: fromZero([]) } },
        axes: [timeAxis(), axis(figure, { size: LEFT }), axis(figure, { side: 1, scale: "users", grid: { show: false }, size: RIGHT })],
        series: [
          times,
          line("users (right)", "users", figure, { scale: "users", width: 1.25, dash: [4, 3], paths: uPlot.paths.stepped({ align: -1 }) }),
          line("requests/s", "rate", figure, { fill: colour("rate") + "1c" }),
        ],
        hooks: { drawClear: [shade], draw: [overlay(ofRate, "y")] },
      }), [data.at, data.users, shown.requests], target));

    const most = upTo([...shown.p50, ...shown.p95, ...shown.p99]);
    const limits = near(ofTimes, most);
    const positive = column => (logarithmic ? column.map(value => (value > 0 ? value : null)) : column);
    put("times", `Response times of ${shown.name} over time: median, 95th and 99th percentile, at most ${millis(most)}`, target =>
      new uPlot(options(target, {
        height: 300,
        scales: { y: logarithmic ? { distr: 3, range: (_, low, high) => uPlot.rangeLog(low ?? 1, high ?? 10, 10, false) } : { range: fromZero(limits) } },
        axes: [timeAxis(), axis(millis, { size: LEFT })],
        series: [
          times,
          line("p50", "p50", millis),
          line("p95", "p95", millis, { dash: [8, 3] }),
          line("p99", "p99", millis, { dash: [3, 2] }),
        ],
        hooks: { drawClear: [shade], draw: [overlay(limits, "y")] },
      }), [data.at, positive(shown.p50), positive(shown.p95), positive(shown.p99)], target));

    put("failures", `Failures per second of ${shown.name} over time, at most ${figure(Math.max(...shown.failures))}`, target =>
      new uPlot(options(target, {
        height: 180,
        scales: { y: { range: fromZero([]) } },
        axes: [timeAxis(), axis(figure, { size: LEFT })],
        series: [times, line("failures/s", "limit", figure, { fill: colour("limit") + "30" })],
        hooks: { drawClear: [shade], draw: [overlay([], "y")] },
      }), [data.at, shown.failures], target));

    curves(all ? null : shown);
    done();
  };

  // The axis counts tens: at 2 one in a hundred was slower.
  const percentile = tens => (tens <= 0 ? "0" : String(Number((100 * (1 - 10 ** -tens)).toFixed(Math.max(0, Math.ceil(tens) - 2) + (Number.isInteger(tens) ? 0 : 1)))));
  const curves = chosen => {
    const wanted = data.lines.slice(0, 1 + CURVES);
    if (chosen && !wanted.includes(chosen)) wanted.push(chosen);
    const drawn = wanted.filter((row, at) => row.curve.length && !(at === 1 && data.lines.length === 2));
    const columns = data.lines[0].curve.map((_, at) => at / 10);
    put("curves", `Response times by percentile of ${drawn.map(row => row.name).join(", ")}`, target =>
      new uPlot({
        width: Math.max(target.clientWidth, 280),
        height: 340,
        padding: [10, 24, 0, 0],
        cursor: { focus: { prox: 16 } },
        focus: { alpha: 0.35 },
        scales: { x: { time: false, range: [0, 4] }, y: { distr: 3, range: (_, low, high) => uPlot.rangeLog(low ?? 1, high ?? 10, 10, false) } },
        axes: [axis(value => "p" + percentile(value), { incrs: [1], space: 40, splits: () => [0, 0.3010299957, 1, 1.3010299957, 2, 3, 4] }), axis(millis, { size: LEFT })],
        series: [
          { label: "Percentile", value: (_, value) => (value == null ? "–" : "p" + percentile(value)) },
          ...drawn.map((row, at) => ({
            label: row.name,
            stroke: row === data.lines[0] ? colour("text") : colour("curve" + (1 + (at - 1) % CURVES)),
            width: row === data.lines[0] || row === chosen ? 2.75 : 1.5,
            dash: DASHES[at % DASHES.length],
            points: { show: false },
            value: (_, value) => millis(value),
          })),
        ],
      }, [columns, ...drawn.map(row => row.curve.map(value => value || null))], target));
  };

  // Whether each chart shows its lines: pixels of a line's own colour. Once, for whoever tests the page.
  const shows = plot => {
    const { ctx } = plot;
    const { data: pixels } = ctx.getImageData(0, 0, ctx.canvas.width, ctx.canvas.height);
    return plot.series.slice(1).some(series => {
      ctx.fillStyle = series.stroke();
      const [red, green, blue] = [1, 3, 5].map(at => parseInt(ctx.fillStyle.slice(at, at + 2), 16));
      let found = 0;
      for (let at = 0; at < pixels.length; at += 4) {
        const off = Math.abs(pixels[at] - red) + Math.abs(pixels[at + 1] - green) + Math.abs(pixels[at + 2] - blue);
        if (off < 60 && pixels[at + 3] > 200) found += 1;
      }
      return found > 20;
    });
  };
  const done = () => {
    if ("drawn" in document.documentElement.dataset) return;
    document.documentElement.dataset.drawn = "";
    requestAnimationFrame(() => {
      document.documentElement.dataset.drawn = plots.map(plot => (shows(plot) ? "yes" : "no")).join(" ");
    });
  };

  // --- once ---

  const which = element("which");
  which.replaceChildren(...data.lines.map((row, at) => new Option(at ? `${row.name} (${row.count.toLocaleString("en")})` : row.name, at)));
  document.querySelector(".controls").hidden = false;
  const seen = [...new Set(data.phases.map(phase => phase[2]))];
  element("phases").replaceChildren(...seen.map(phase => {
    const [item, box] = [document.createElement("li"), document.createElement("i")];
    box.style.background = `var(--${phase})`;
    item.append(box, PHASES[phase] ?? phase);
    return item;
  }));
  element("marks").replaceChildren(...data.marks.map(mark => {
    const item = document.createElement("li");
    item.textContent = `${clock(mark.at)} ${mark.kind}${mark.text ? ": " + mark.text : ""}`;
    return item;
  }));
  which.addEventListener("change", draw);
  element("log").addEventListener("change", draw);
  document.querySelector(".controls").addEventListener("submit", event => event.preventDefault());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  matchMedia("print").addEventListener("change", draw);
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(draw, 150);
  });
  draw();
})();
