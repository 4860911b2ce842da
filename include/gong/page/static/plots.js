// Draws what /plots/….json answers with uPlot: anew for another width, and in the colours of the theme.
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

  // One upon the other, the last on top: bars of one day are its sum.
  const stacked = (series) => {
    const sums = series[0] ? series[0].map(() => 0) : [];
    return series.map((values) => values.map((value, day) => (sums[day] += value ?? 0)));
  };

  const options = (plot, names, shown, width) => {
    const grid = { stroke: colour("line"), width: 1 };
    const axis = { stroke: colour("faint"), grid, ticks: grid, font: "12px system-ui, sans-serif" };
    const series = names.map((name, place) => ({
      label: name,
      stroke: colour(`series-${(place % 9) + 1}`),
      fill: plot.bars ? colour(`series-${(place % 9) + 1}`) : undefined,
      width: plot.bars ? 0 : 2,
      dash: plot.bars ? undefined : DASHES[place % DASHES.length],
      points: { show: plot.days.length < 3 && !plot.bars },
      paths: plot.bars ? uPlot.paths.bars({ size: [0.7, 40] }) : undefined,
      value: (_self, _value, _series, day) => shown(place, day),
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
      hooks: { ready: [(chart) => chart.setLegend({ idx: chart.data[0].length - 1 })] }, // until one points at a day
      cursor: { y: false, drag: { x: false, y: false } },
    };
  };

  const show = (place, text) => {
    const line = document.createElement("p");
    line.className = "loading";
    line.textContent = text;
    place.replaceChildren(line);
    place.setAttribute("aria-busy", "false");
  };

  const draw = async (figure) => {
    const place = figure.querySelector(".canvas");
    let answer;
    try {
      answer = await fetch(figure.dataset.plot, { credentials: "same-origin" });
    } catch {
      return show(place, "Airflow did not answer. Load the page again.");
    }
    if (!answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      return show(place, (page.querySelector("#part p, p") ?? {}).textContent || "The plot could not be loaded.");
    }
    const plot = await answer.json();
    const about = figure.querySelector("[data-about]");
    if (about) about.textContent = plot.about;
    const names = Object.keys(plot.series);
    if (!plot.days.length || !names.length) return show(place, "No values for these days.");
    const days = plot.days.map((day) => Date.parse(`${day}T00:00:00Z`) / 1000);
    const plain = names.map((name) => [...plot.series[name]]);
    // One day alone makes no axis.
    while (days.length < LEAST_DAYS) {
      days.unshift(days[0] - DAY_S);
      for (const values of plain) values.unshift(null);
    }
    const drawn = plot.bars ? stacked(plain) : plain;
    // The highest bar is drawn first, so that none hides another.
    const order = names.map((_name, at) => (plot.bars ? names.length - 1 - at : at));
    const shown = (at, day) => (day == null ? "" : (plain[order[at]][day] ?? "—").toLocaleString("en"));

    let chart = null;
    const paint = () => {
      if (chart) chart.destroy();
      place.replaceChildren();
      const width = Math.max(240, Math.floor(place.clientWidth));
      chart = new uPlot(options(plot, order.map((at) => names[at]), shown, width), [days, ...order.map((at) => drawn[at])], place);
      place.setAttribute("aria-busy", "false");
    };
    paint();
    new ResizeObserver(() => {
      const width = Math.max(240, Math.floor(place.clientWidth));
      if (chart && chart.width !== width) chart.setSize({ width, height: 200 });
    }).observe(place);
    document.addEventListener("gong:theme", paint);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  };

  for (const figure of document.querySelectorAll("[data-plot]")) draw(figure);
})();
