// Draws /plots/….json with uPlot; redraws for another width or theme.
(() => {
  const DAY_S = 86400;
  const LEAST_DAYS = 14;
  const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];

  const colour = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };

  // Stacks the series, the last on top: the bars of a day add up to its sum.
  const stacked = (series) => {
    const sums = series[0] ? series[0].map(() => 0) : [];
    return series.map((values) => values.map((value, day) => (sums[day] += value ?? 0)));
  };

  const options = (plot, names, shown, width) => {
    const grid = { stroke: colour("line"), width: 1 };
    const axis = { stroke: colour("faint"), grid, ticks: grid, font: "12px system-ui, sans-serif" };
    const series = names.map((name, index) => ({
      label: name,
      stroke: colour(`series-${(index % 9) + 1}`),
      fill: plot.bars ? colour(`series-${(index % 9) + 1}`) : undefined,
      width: plot.bars ? 0 : 2,
      dash: plot.bars ? undefined : DASHES[index % DASHES.length],
      points: { show: plot.days.length < 3 && !plot.bars },
      paths: plot.bars ? uPlot.paths.bars({ size: [0.7, 40] }) : undefined,
      value: (_self, _value, _series, day) => shown(index, day),
    }));
    const top = (_self, _least, most) => [0, Math.max(1, most * 1.05)];
    return {
      width,
      height: 200,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      scales: { y: { range: top } },
      series: [{ label: "Day", value: (_self, seconds) => (seconds == null ? "" : new Date(seconds * 1000).toISOString().slice(0, 10)) }, ...series],
      axes: [
        { ...axis, values: [[31536000, "{YYYY}"], [2419200, "{MMM}", "\n{YYYY}"], [86400, "{D} {MMM}"], [1, ""]].map(
          ([step, text, year]) => [step, text, year ?? null, null, null, null, null, null, 1]) , space: 64 },
        { ...axis, size: 48, values: (_self, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? tick.toLocaleString("en") : "")) },
      ],
      hooks: { ready: [(chart) => chart.setLegend({ idx: chart.data[0].length - 1 })] }, // until the pointer is on a day
      cursor: { y: false, drag: { x: false, y: false } },
    };
  };

  const show = (canvas, text) => {
    const line = document.createElement("p");
    line.className = "loading";
    line.textContent = text;
    canvas.replaceChildren(line);
    canvas.setAttribute("aria-busy", "false");
  };

  const draw = async (figure) => {
    const canvas = figure.querySelector(".canvas");
    let response;
    try {
      response = await fetch(figure.dataset.plot, { credentials: "same-origin" });
    } catch {
      return show(canvas, "Airflow did not respond. Load the page again.");
    }
    if (!response.ok) {
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      return show(canvas, (page.querySelector("#part p, p") ?? {}).textContent || "The plot could not be loaded.");
    }
    const plot = await response.json();
    const about = figure.querySelector("[data-about]");
    if (about) about.textContent = plot.about;
    const names = Object.keys(plot.series);
    if (!plot.days.length || !names.length) return show(canvas, "No values for these days.");
    const days = plot.days.map((day) => Date.parse(`${day}T00:00:00Z`) / 1000);
    const plain = names.map((name) => [...plot.series[name]]);
    // An axis needs more than one day.
    while (days.length < LEAST_DAYS) {
      days.unshift(days[0] - DAY_S);
      for (const values of plain) values.unshift(null);
    }
    const drawn = plot.bars ? stacked(plain) : plain;
    // The highest bar is drawn first, so that no bar hides another.
    const order = names.map((_name, at) => (plot.bars ? names.length - 1 - at : at));
    const shown = (at, day) => (day == null ? "" : (plain[order[at]][day] ?? "—").toLocaleString("en"));

    let chart = null;
    const paint = () => {
      if (chart) chart.destroy();
      canvas.replaceChildren();
      const width = Math.max(240, Math.floor(canvas.clientWidth));
      chart = new uPlot(options(plot, order.map((at) => names[at]), shown, width), [days, ...order.map((at) => drawn[at])], canvas);
      canvas.setAttribute("aria-busy", "false");
    };
    paint();
    new ResizeObserver(() => {
      const width = Math.max(240, Math.floor(canvas.clientWidth));
      if (chart && chart.width !== width) chart.setSize({ width, height: 200 });
    }).observe(canvas);
    document.addEventListener("gong:theme", paint);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  };

  for (const figure of document.querySelectorAll("[data-plot]")) draw(figure);
})();
